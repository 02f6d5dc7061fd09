//! Linker settings of the addon.

fn main() {
    napi_build::setup();
    // A worker thread that ends unloads the addons it loaded, while our runtime's threads
    // still run their code: the library stays.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
