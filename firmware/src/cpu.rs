//! What this processor has for int8 arithmetic.

/// The instruction sets that int8 kernels can use, by the names that Linux gives them, slowest first.
pub(crate) fn int8_features() -> Vec<&'static str> {
    features()
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect()
}

#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 3] {
    [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx_vnni", std::arch::is_x86_feature_detected!("avxvnni")),
        (
            "avx512_vnni",
            std::arch::is_x86_feature_detected!("avx512vnni"),
        ),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> [(&'static str, bool); 3] {
    [
        ("asimd", std::arch::is_aarch64_feature_detected!("neon")),
        (
            "asimddp",
            std::arch::is_aarch64_feature_detected!("dotprod"),
        ),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> [(&'static str, bool); 0] {
    []
}
