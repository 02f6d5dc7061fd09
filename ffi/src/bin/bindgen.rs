//! Writes the Swift and Kotlin sources from the compiled library; see `cargo xtask gen`.

fn main() {
    uniffi::uniffi_bindgen_main();
}
