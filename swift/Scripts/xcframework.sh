#!/bin/sh
# Builds build/durable_streamsFFI.xcframework, which Package.swift takes the core from on Apple systems.
# Needs macOS with Xcode and rustup. Nobody has run it yet: the project's tests run on Linux.
set -eu
cd "$(dirname "$0")/.."
build=build/xcframework
headers=Sources/durable_streamsFFI/include
library=libdurable_streams_ffi.a

rm -rf "$build" build/durable_streamsFFI.xcframework
mkdir -p "$build/macos" "$build/simulator"

for target in aarch64-apple-darwin x86_64-apple-darwin aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios; do
    rustup target add "$target"
    cargo build --release -p durable-streams-ffi --target "$target" --manifest-path ../Cargo.toml
done

# One library per system, with all its processors in it.
lipo -create -output "$build/macos/$library" \
    "../target/aarch64-apple-darwin/release/$library" "../target/x86_64-apple-darwin/release/$library"
lipo -create -output "$build/simulator/$library" \
    "../target/aarch64-apple-ios-sim/release/$library" "../target/x86_64-apple-ios/release/$library"

xcodebuild -create-xcframework \
    -library "$build/macos/$library" -headers "$headers" \
    -library "../target/aarch64-apple-ios/release/$library" -headers "$headers" \
    -library "$build/simulator/$library" -headers "$headers" \
    -output build/durable_streamsFFI.xcframework
