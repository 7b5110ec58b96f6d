//! What the CPU can do, found once, as a value to hold.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A family of kernels, named after the instructions that its int8 products use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust, for any CPU: what every other is tested against.
    Reference,
    /// x86-64 with AVX2 and FMA: `vpmaddwd`.
    Avx2,
    /// x86-64 with AVX-VNNI: `vpdpbusd` on 256 bits.
    AvxVnni,
    /// x86-64 with AVX-512 VNNI: `vpdpbusd` on 512 bits.
    Avx512Vnni,
    /// Any 64-bit Arm (Cortex-A53, A72): widening multiplies.
    Neon,
    /// Arm with dot products (Cortex-A55, A76): `sdot`.
    NeonDot,
    /// Arm with int8 matrix products: `smmla`.
    NeonI8mm,
}

/// The environment variable that forces a family of kernels, by its [name](Isa::name).
pub const OVERRIDE: &str = "EASEL_KERNEL";

impl Isa {
    /// Every family, the plainest first and the fastest of each architecture last.
    pub const ALL: [Self; 7] = [
        Self::Reference,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512Vnni,
        Self::Neon,
        Self::NeonDot,
        Self::NeonI8mm,
    ];

    /// Its name in reports and in [`OVERRIDE`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
            Self::NeonI8mm => "neon-i8mm",
        }
    }

    /// Whether this CPU has the instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Reference => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Self::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => {
                Self::NeonDot.is_available() && std::arch::is_aarch64_feature_detected!("i8mm")
            }
            _ => false,
        }
    }

    /// The families that run here, the fastest last; never empty.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The fastest family that runs here, or the one that [`OVERRIDE`] names; looked up once.
    ///
    /// # Errors
    /// The variable names no family, or one that this CPU cannot run.
    pub fn chosen() -> Result<Self, IsaError> {
        static CHOSEN: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var(OVERRIDE) {
                Ok(name) if !name.is_empty() => {
                    let isa: Self = name.parse()?;
                    if isa.is_available() {
                        Ok(isa)
                    } else {
                        Err(IsaError::Unavailable(isa))
                    }
                }
                _ => Ok(Self::available().last().expect("the reference always runs")),
            })
            .clone()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        let found = Self::ALL.into_iter().find(|isa| isa.name() == name);
        found.ok_or_else(|| IsaError::Unknown(name.to_owned()))
    }
}

/// Kernels that were asked for and cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// No family has this name.
    #[error(
        "{OVERRIDE}: unknown kernels `{0}`: choose reference, avx2, avx-vnni, avx512-vnni, neon, neon-dot or neon-i8mm"
    )]
    Unknown(String),
    /// This CPU lacks the instructions.
    #[error(
        "{OVERRIDE}: this CPU cannot run the `{0}` kernels: choose one that it can, or unset the variable"
    )]
    Unavailable(Isa),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_found_by_its_name() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert!("sse2".parse::<Isa>().is_err());
        assert_eq!(Isa::available().next(), Some(Isa::Reference));
    }

    /// `test-arm.sh` sets the variable: the other tests run whatever is available, and would not miss a family.
    #[test]
    fn the_families_that_this_cpu_must_have_are_available() {
        if let Ok(expected) = std::env::var("EASEL_EXPECT") {
            let available: Vec<_> = Isa::available().map(Isa::name).collect();
            assert_eq!(available.join(" "), expected);
        }
    }
}
