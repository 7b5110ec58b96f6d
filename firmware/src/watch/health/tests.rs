use super::*;
use proptest::prelude::*;

/// A tree with these files.
pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, text) in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }
    let root = Root::at(folder.path());
    (folder, root)
}

fn health(files: &[(&str, &str)]) -> Health {
    let (folder, root) = tree(files);
    root.health(&folder.path().join("nowhere"))
}

#[test]
fn a_raspberry_pi() {
    let health = health(&[
        ("sys/class/thermal/thermal_zone0/temp", "67693\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/cooling_device0/type", "gpio-fan\n"),
        ("sys/class/thermal/cooling_device0/cur_state", "1\n"),
        ("sys/class/hwmon/hwmon0/name", "cpu_thermal\n"),
        ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
        ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n"),
        (
            "sys/bus/platform/drivers/raspberrypi-firmware/soc@0:firmware/get_throttled",
            "50005\n",
        ),
        ("proc/self/status", "Name:\teasel\nVmRSS:\t  312400 kB\n"),
        (
            "proc/meminfo",
            "MemTotal: 4000000 kB\nMemAvailable:    2097152 kB\n",
        ),
        ("proc/uptime", "86400.55 300000.00\n"),
        ("proc/loadavg", "3.25 2.00 1.00 2/200 1234\n"),
        (
            "proc/net/wireless",
            "Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise |  nwid  crypt\n wlan0: 0000   54.  -56.  -256        0      0\n",
        ),
    ]);
    let json = serde_json::to_value(&health).expect("it is plain data");
    let expected = serde_json::json!({
        "temperature_c": 67.693_f32,
        "undervoltage": true,
        "throttling": {"now": ["undervoltage", "throttled"], "since_start": ["undervoltage", "throttled"]},
        "rss_mib": 305,
        "available_mib": 2048,
        "uptime_s": 86400,
        "load": 3.25,
        "wifi_dbm": -56,
    });
    assert_eq!(json, expected);
}

#[test]
fn older_kernels_have_the_firmware_elsewhere() {
    let health = health(&[("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")]);
    assert_eq!(health.throttling, Some(Throttling(0)));
    assert_eq!(health.undervoltage, Some(false));
}

#[test]
fn another_board() {
    let health = health(&[
        ("sys/class/thermal/thermal_zone0/temp", "41000"),
        ("sys/class/thermal/thermal_zone0/type", "iwlwifi"),
        ("sys/class/thermal/thermal_zone2/temp", "55500"),
        ("sys/class/thermal/thermal_zone2/type", "soc-thermal"),
        ("sys/class/thermal/thermal_zone10/temp", "58000"),
        (
            "sys/class/thermal/thermal_zone10/type",
            "bigcore0-cpu-thermal",
        ),
        ("sys/class/thermal/cooling_device0/type", "cpufreq-cpu0"),
        ("sys/class/thermal/cooling_device0/cur_state", "0"),
        ("sys/class/thermal/cooling_device1/type", "cpufreq-cpu4"),
        ("sys/class/thermal/cooling_device1/cur_state", "2"),
    ]);
    let expected = Health {
        temperature_c: Some(58.0),
        clock_held: Some(true),
        ..Health::default()
    };
    assert_eq!(health, expected);
}

#[test]
fn where_nothing_can_be_read_nothing_is_said() {
    let nothing = health(&[]);
    assert_eq!(nothing, Health::default());
    assert_eq!(serde_json::to_string(&nothing).expect("plain data"), "{}");
    // Files that say something else.
    let odd = health(&[
        ("sys/class/thermal/thermal_zone0/temp", "N/A"),
        ("sys/class/hwmon/hwmon0/name", "rpi_volt"),
        ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", ""),
        (
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "VCHI failed",
        ),
        ("proc/meminfo", "MemAvailable: lots\n"),
        ("proc/uptime", ""),
        ("proc/net/wireless", "wlan0: 0000 54. 200. -256\n"),
    ]);
    assert_eq!(odd, Health::default());
}

#[test]
fn an_unnamed_zone_is_taken_as_the_processors() {
    let health = health(&[
        ("sys/class/thermal/thermal_zone1/temp", "90000"),
        ("sys/class/thermal/thermal_zone0/temp", "47000"),
    ]);
    assert_eq!(health.temperature_c, Some(47.0));
}

#[test]
fn this_machine_has_a_memory_and_a_disk() {
    let health = Root::default().health(Path::new("/"));
    assert!(health.rss_mib.is_some_and(|mib| mib > 0));
    assert!(health.available_mib.is_some_and(|mib| mib > 0));
    assert!(health.disk_free_mib.is_some());
    assert!(health.load.is_some() && health.uptime_s.is_some());
}

proptest! {
    #[test]
    fn throttling_is_hexadecimal(bits: u32, text in "\\PC{0,12}") {
        for written in [format!("{bits:x}\n"), format!("0x{bits:X}")] {
            prop_assert_eq!(Throttling::parse(&written), Some(Throttling(bits)));
        }
        let named = Throttling(bits).now().count() + Throttling(bits).since_start().count();
        prop_assert_eq!(named as u32, (bits & 0x000f_000f).count_ones());
        let _ = Throttling::parse(&text);
    }
}
