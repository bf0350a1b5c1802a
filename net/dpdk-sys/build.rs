//! Compiles the shim against the installed DPDK and links what it calls; does nothing without the feature `dpdk`.

fn main() {
    println!("cargo::rerun-if-changed=shim.c");
    #[cfg(feature = "dpdk")]
    if let Err(reason) = dpdk::build() {
        // A message to cargo is one line.
        let words: Vec<String> = reason.to_string().split_whitespace().map(str::to_owned).collect();
        println!("cargo::error={}", words.join(" "));
    }
}

#[cfg(feature = "dpdk")]
mod dpdk {
    use std::error::Error;
    use std::process::Command;

    /// What the shim calls. Drivers are loaded at run time from the system's folder; `rte_net_ring` is one of them and
    /// is linked as well, because rings become a device by a function of its own.
    const LIBRARIES: [&str; 6] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal", "rte_net_ring"];
    /// The oldest release whose interface the shim uses: it renamed every constant of `rte_ethdev.h`.
    const VERSION_MIN: &str = "21.11";

    pub(crate) fn build() -> Result<(), Box<dyn Error>> {
        let library =
            pkg_config::Config::new().atleast_version(VERSION_MIN).cargo_metadata(false).probe("libdpdk").map_err(
                |error| {
                    format!("DPDK {VERSION_MIN} or later is missing (Debian: apt-get install libdpdk-dev): {error}")
                },
            )?;
        // The crate passes on folders and macros only; the headers also need `-include rte_config.h` and `-march`.
        let flags = Command::new("pkg-config").args(["--cflags", "libdpdk"]).output()?;
        let mut shim = cc::Build::new();
        for flag in String::from_utf8(flags.stdout)?.split_whitespace() {
            shim.flag(flag);
        }
        shim.file("shim.c").opt_level(3).warnings(true).extra_warnings(true).flag("-Wno-unused-parameter");
        shim.try_compile("hpb_dpdk_shim")?;
        for folder in &library.link_paths {
            println!("cargo::rustc-link-search=native={}", folder.display());
        }
        for name in LIBRARIES {
            println!("cargo::rustc-link-lib=dylib={name}");
        }
        Ok(())
    }
}
