//! What board this is and how it is, without a word about whose it is: no host name, user, serial number or address is read.

use crate::cpu;
use crate::watch::Root;
use easel::process_memory::field;
use serde::Serialize;
use std::path::Path;
use std::thread::available_parallelism;

/// What does not change while it is measured.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// As its device tree calls it.
    board: Option<String>,
    /// Kinds of cores: `4 × Cortex-A72`.
    pub(super) cpu: Vec<String>,
    /// Cores that this process may use.
    cores: usize,
    /// What they have for int8, slowest first.
    int8: Vec<&'static str>,
    /// MHz that the clock may reach.
    max_mhz: Option<u64>,
    governor: Option<String>,
    memory_mib: Option<u64>,
    os: Option<String>,
    linux: Option<String>,
    /// What easel was built for.
    target: String,
}

impl Machine {
    /// What `/proc`, `/sys` and `/etc` under `root` say; what they do not say is left out.
    pub(super) fn read(root: &Root) -> Self {
        let frequency = "sys/devices/system/cpu/cpu0/cpufreq";
        let khz: Option<u64> = root.first_word(&format!("{frequency}/cpuinfo_max_freq"));
        let os = root.read("etc/os-release").unwrap_or_default();
        let os = os
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            board: root
                .read("proc/device-tree/model")
                .and_then(|text| plain(&text)),
            cpu: cores(&root.read("proc/cpuinfo").unwrap_or_default()),
            cores: available_parallelism().map_or(1, usize::from),
            int8: cpu::int8_features(),
            max_mhz: khz.map(|khz| khz / 1000),
            governor: root
                .read(&format!("{frequency}/scaling_governor"))
                .and_then(|text| plain(&text)),
            memory_mib: field(root.join("proc/meminfo"), "MemTotal").map(|bytes| bytes >> 20),
            os: os.and_then(|name| plain(name.trim_matches(['"', '\'']))),
            linux: root
                .read("proc/sys/kernel/osrelease")
                .and_then(|text| plain(&text)),
            target: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        }
    }

    /// The lines of the page: a name and a value each.
    pub(super) fn rows(&self) -> Vec<(&'static str, Option<String>)> {
        let int8 = match self.int8[..] {
            [] => "nothing for int8".to_owned(),
            _ => self.int8.join(" "),
        };
        let cpu = format!("{}; {} usable; {int8}", self.cpu.join(" + "), self.cores);
        let governor = self.governor.as_deref().unwrap_or("governor not known");
        let clock = self
            .max_mhz
            .map(|mhz| format!("{mhz} MHz at most, {governor}"));
        let mib = |mib: u64| format!("{mib} MiB");
        vec![
            ("board", self.board.clone()),
            ("processor", Some(cpu.trim_start_matches("; ").to_owned())),
            ("clock", clock),
            ("memory", self.memory_mib.map(mib)),
            ("system", self.os.clone()),
            ("Linux", self.linux.clone()),
            ("built for", Some(self.target.clone())),
        ]
    }
}

/// What heat and a weak supply change.
#[derive(Debug, Serialize)]
pub(super) struct State {
    temperature_c: Option<f32>,
    mhz: Option<u64>,
    /// The kernel holds the clock down, against heat.
    clock_held: Option<bool>,
    undervoltage: Option<bool>,
    /// What a Raspberry Pi's firmware holds back now, and has since the board started.
    held_back: Option<[Vec<&'static str>; 2]>,
}

impl State {
    pub(super) fn read(root: &Root) -> Self {
        let health = root.health(Path::new("/"));
        let khz: Option<u64> =
            root.first_word("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
        let held_back = |held: crate::watch::Throttling| {
            [held.now().collect(), held.since_start().collect::<Vec<_>>()]
        };
        Self {
            temperature_c: health.temperature_c,
            mhz: khz.map(|khz| khz / 1000),
            clock_held: health.clock_held,
            undervoltage: health.undervoltage,
            held_back: health.throttling.map(held_back),
        }
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.temperature_c.map(|celsius| format!("{celsius:.0} °C")));
        words.extend(self.mhz.map(|mhz| format!("{mhz} MHz")));
        let mut say = |known: Option<bool>, yes: &str| {
            words.extend(known.filter(|it| *it).map(|_| yes.to_owned()));
        };
        say(self.clock_held, "clock held down by the kernel");
        say(self.undervoltage, "supply too weak");
        if let Some([now, since]) = &self.held_back {
            let list = |names: &[&str]| match names {
                [] => "nothing".to_owned(),
                _ => names.join(", "),
            };
            words.push(format!(
                "held back by the firmware: {} (since the start: {})",
                list(now),
                list(since)
            ));
        }
        if words.is_empty() {
            return "not known".to_owned();
        }
        words.join(", ")
    }
}

/// A value that cannot break a table: one line of at most 120 letters, without bars.
fn plain(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let letters = text.chars().filter(|c| !c.is_control() && *c != '|');
    Some(letters.take(120).collect::<String>()).filter(|text| !text.is_empty())
}

/// The cores of `/proc/cpuinfo` by their names, each kind with its number.
fn cores(cpuinfo: &str) -> Vec<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    let mut implementer = "";
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let name = match key.trim() {
            "CPU implementer" => {
                implementer = value.trim();
                continue;
            }
            "CPU part" => arm_core(implementer, value.trim()),
            // 32-bit Arm says "ARMv7 Processor" here, beside the part.
            "model name" if !value.contains("ARMv") => plain(value),
            _ => None,
        };
        match (name, kinds.last_mut()) {
            (Some(name), Some((last, count))) if *last == name => *count += 1,
            (Some(name), _) => kinds.push((name, 1)),
            (None, _) => {}
        }
    }
    let named = kinds.into_iter();
    named
        .map(|(name, count)| format!("{count} × {name}"))
        .collect()
}

/// A core by its numbers in MIDR (Linux, `arch/arm64/include/asm/cputype.h`; 0x41 is Arm itself).
fn arm_core(implementer: &str, part: &str) -> Option<String> {
    let arm = match part {
        "0xc07" => "Cortex-A7",
        "0xc0f" => "Cortex-A15",
        "0xd03" => "Cortex-A53",
        "0xd04" => "Cortex-A35",
        "0xd05" => "Cortex-A55",
        "0xd07" => "Cortex-A57",
        "0xd08" => "Cortex-A72",
        "0xd09" => "Cortex-A73",
        "0xd0a" => "Cortex-A75",
        "0xd0b" => "Cortex-A76",
        "0xd0c" => "Neoverse N1",
        "0xd40" => "Neoverse V1",
        "0xd41" => "Cortex-A78",
        "0xd47" => "Cortex-A710",
        "0xd49" => "Neoverse N2",
        _ => "",
    };
    if implementer == "0x41" && !arm.is_empty() {
        return Some(arm.to_owned());
    }
    plain(&format!("core {part} of implementer {implementer}"))
}

#[cfg(test)]
mod tests;
