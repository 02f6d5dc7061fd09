#!/bin/sh
# Builds build/durable_streamsFFI.xcframework, which Package.swift takes the core from on Apple systems.
# Needs macOS with Xcode and rustup. With --dry-run it prints its commands instead, anywhere; that is how the tests,
# which have no Mac, run it.
set -eu
cd "$(dirname "$0")/.."
build=build/xcframework
headers=$build/headers
library=libdurable_streams_ffi.a
made=../target

case "${1-}" in
--dry-run) run() { echo "$@"; } ;;
"") run() { "$@"; } ;;
*)
    echo "usage: $0 [--dry-run]" >&2
    exit 2
    ;;
esac

run rm -rf "$build" build/durable_streamsFFI.xcframework
run mkdir -p "$build/macos" "$build/simulator" "$headers/durable_streamsFFI"
# In a folder of their own: all XCFrameworks of an app put their headers into one place.
run cp Sources/durable_streamsFFI/include/durable_streamsFFI.h "$headers/durable_streamsFFI"
run cp Scripts/apple.modulemap "$headers/durable_streamsFFI/module.modulemap"

for target in aarch64-apple-darwin x86_64-apple-darwin aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios; do
    run rustup target add "$target"
    # The static library alone: the other kinds would be linked for nothing.
    run cargo rustc --release --target "$target" --manifest-path ../Cargo.toml -p durable-streams-ffi --lib \
        --target-dir "$made" --crate-type staticlib
done

# One library per system, with all its processors in it.
run lipo -create -output "$build/macos/$library" \
    "$made/aarch64-apple-darwin/release/$library" "$made/x86_64-apple-darwin/release/$library"
run lipo -create -output "$build/simulator/$library" \
    "$made/aarch64-apple-ios-sim/release/$library" "$made/x86_64-apple-ios/release/$library"

run xcodebuild -create-xcframework \
    -library "$build/macos/$library" -headers "$headers" \
    -library "$made/aarch64-apple-ios/release/$library" -headers "$headers" \
    -library "$build/simulator/$library" -headers "$headers" \
    -output build/durable_streamsFFI.xcframework
