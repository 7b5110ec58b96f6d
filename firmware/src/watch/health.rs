//! How the board is: what the kernel says, read when asked. All of it is optional, since every board lacks something.

use easel::process_memory::field;
use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// Where `/proc` and `/sys` are: `/`, or a tree made for a test.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

/// How the board is. Serialized, it is the payload of `health`; what cannot be read is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Health {
    /// The processor, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// The supply is too weak now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undervoltage: Option<bool>,
    /// What a Raspberry Pi's firmware holds back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttling: Option<Throttling>,
    /// The kernel holds the processor's clock down, against heat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_held: Option<bool>,
    /// What this process has in memory, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_mib: Option<u64>,
    /// What could be had without swapping, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_mib: Option<u64>,
    /// Free on the disk that the pictures are on, MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_mib: Option<u64>,
    /// Since the board started, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// Processes that ran or waited in the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f32>,
    /// Signal of the Wi-Fi, dBm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi_dbm: Option<i32>,
}

/// What a Raspberry Pi's firmware says with `get_throttled`: bits 0 to 3 now, 16 to 19 since the board started (Raspberry Pi
/// documentation, "vcgencmd", `get_throttled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttling(u32);

const THROTTLES: [&str; 4] = [
    "undervoltage",
    "frequency capped",
    "throttled",
    "soft temperature limit",
];

impl Throttling {
    /// Reads hexadecimal digits, with or without `0x`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = plain.then(|| u32::from_str_radix(digits, 16));
        bits?.ok().map(Self)
    }

    /// What is held back now.
    pub fn now(self) -> impl Iterator<Item = &'static str> {
        named(self.0)
    }

    /// What has been since the board started.
    pub fn since_start(self) -> impl Iterator<Item = &'static str> {
        named(self.0 >> 16)
    }
}

fn named(bits: u32) -> impl Iterator<Item = &'static str> {
    let names = THROTTLES.into_iter().zip(0..);
    names.filter_map(move |(name, bit)| (bits >> bit & 1 == 1).then_some(name))
}

impl Serialize for Throttling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named {
            now: Vec<&'static str>,
            since_start: Vec<&'static str>,
        }
        let named = Named {
            now: self.now().collect(),
            since_start: self.since_start().collect(),
        };
        named.serialize(serializer)
    }
}

impl Root {
    /// Another root, for tests.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// All that can be read now. `pictures` is a path on the disk that is to be watched.
    #[must_use]
    pub fn health(&self, pictures: &Path) -> Health {
        let throttling = self.throttling();
        let alarm = self.undervoltage_alarm();
        let by_firmware = throttling.map(|throttling| throttling.0 & 1 == 1);
        let mib = |file: &str, name| field(self.0.join(file), name).map(|bytes| bytes >> 20);
        Health {
            temperature_c: self.temperature_c(),
            undervoltage: alarm.into_iter().chain(by_firmware).reduce(|a, b| a || b),
            throttling,
            clock_held: self.clock_held(),
            rss_mib: mib("proc/self/status", "VmRSS"),
            available_mib: mib("proc/meminfo", "MemAvailable"),
            disk_free_mib: disk_free_mib(pictures),
            uptime_s: self
                .first_word("proc/uptime")
                .map(|seconds: f64| seconds as u64),
            load: self.first_word("proc/loadavg"),
            wifi_dbm: self.wifi_dbm(),
        }
    }

    /// The hottest part of the processor, °C (kernel documentation, `driver-api/thermal/sysfs-api`: millidegrees).
    #[must_use]
    pub fn temperature_c(&self) -> Option<f32> {
        let zones = self.list("sys/class/thermal", "thermal_zone");
        let zones = zones.iter().filter_map(|zone| {
            let millidegrees: f32 = self.first_word(&format!("{zone}/temp"))?;
            let kind = self.read(&format!("{zone}/type")).unwrap_or_default();
            let of_processor = ["cpu", "soc", "pkg"].iter().any(|part| kind.contains(part));
            Some((of_processor, millidegrees / 1000.0))
        });
        // Where no zone says that it is the processor's, the first one is.
        let zones: Vec<(bool, f32)> = zones.collect();
        let of_processor = zones.iter().filter(|(it_is, _)| *it_is);
        let hottest = of_processor.map(|&(_, celsius)| celsius).reduce(f32::max);
        hottest.or_else(|| zones.first().map(|&(_, celsius)| celsius))
    }

    /// The alarm of the kernel's `rpi_volt` (drivers/hwmon/raspberrypi-hwmon.c, since Linux 4.20).
    fn undervoltage_alarm(&self) -> Option<bool> {
        let sensors = self.list("sys/class/hwmon", "hwmon");
        let mut sensors = sensors.iter();
        let sensor = sensors.find(|sensor| {
            let name = self.read(&format!("{sensor}/name"));
            name.is_some_and(|name| name.trim() == "rpi_volt")
        })?;
        let alarm: u32 = self.first_word(&format!("{sensor}/in0_lcrit_alarm"))?;
        Some(alarm != 0)
    }

    /// The firmware's bits, where the kernel is Raspberry Pi's own: its driver has the file, which mainline lacks. The device is called
    /// `soc:firmware` on boards up to the Pi 4 and otherwise on the Pi 5; the driver's folder leads to it on all.
    fn throttling(&self) -> Option<Throttling> {
        let driver = "sys/bus/platform/drivers/raspberrypi-firmware";
        let devices = self.list(driver, "").into_iter();
        let devices = devices.chain(["sys/devices/platform/soc/soc:firmware".to_owned()]);
        devices
            .filter_map(|device| self.read(&format!("{device}/get_throttled")))
            .find_map(|text| Throttling::parse(&text))
    }

    /// Whether the kernel's thermal governor holds a processor's clock down: a cooling device of cpufreq that is not at rest.
    fn clock_held(&self) -> Option<bool> {
        let devices = self.list("sys/class/thermal", "cooling_device");
        let states = devices.iter().filter_map(|device| {
            let kind = self.read(&format!("{device}/type"))?;
            let state: u32 = self.first_word(&format!("{device}/cur_state"))?;
            kind.contains("cpufreq").then_some(state > 0)
        });
        states.reduce(|one, other| one || other)
    }

    /// The first interface of `/proc/net/wireless` (proc(5)): its third number, where that is a level in dBm.
    fn wifi_dbm(&self) -> Option<i32> {
        let text = self.read("proc/net/wireless")?;
        let mut interfaces = text.lines().filter_map(|line| line.split_once(':'));
        let (_, numbers) = interfaces.next()?;
        let level = numbers.split_whitespace().nth(2)?.trim_end_matches('.');
        level.parse().ok().filter(|dbm| (-150..0).contains(dbm))
    }

    /// A file below it.
    pub(crate) fn join(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// A file as text.
    pub(crate) fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(file)).ok()
    }

    /// The first word of a file, as what is wanted.
    pub(crate) fn first_word<T: std::str::FromStr>(&self, file: &str) -> Option<T> {
        self.read(file)?.split_whitespace().next()?.parse().ok()
    }

    /// What is in a folder and begins like that, in the order of their numbers.
    pub(crate) fn list(&self, folder: &str, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
            .iter()
            .map(|name| format!("{folder}/{name}"))
            .collect()
    }
}

/// Free for this process on the disk of `path`, MiB.
#[must_use]
pub fn disk_free_mib(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
}

#[cfg(test)]
pub(crate) mod tests;
