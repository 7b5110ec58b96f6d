use super::*;
use crate::watch::tree;

const PI: &[(&str, &str)] = &[
    ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
    ("proc/device-tree/serial-number", "10000000deadbeef\0"),
    (
        "proc/cpuinfo",
        "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nprocessor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nSerial\t\t: 10000000deadbeef\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    ),
    ("proc/meminfo", "MemTotal:        3885396 kB\n"),
    ("proc/sys/kernel/hostname", "annas-pi\n"),
    ("proc/sys/kernel/osrelease", "6.12.25+rpt-rpi-v8\n"),
    (
        "etc/os-release",
        "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n",
    ),
    ("etc/hostname", "annas-pi\n"),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
        "1800000\n",
    ),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "ondemand\n",
    ),
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
        "600000\n",
    ),
    ("sys/class/thermal/thermal_zone0/temp", "48199\n"),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
    (
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "50000\n",
    ),
];

#[test]
fn a_raspberry_pi_is_described() {
    let (_folder, root) = tree(PI);
    let machine = serde_json::to_value(Machine::read(&root)).expect("it is plain data");
    for (key, expected) in [
        ("board", serde_json::json!("Raspberry Pi 4 Model B Rev 1.4")),
        ("cpu", serde_json::json!(["2 × Cortex-A72"])),
        ("max_mhz", serde_json::json!(1800)),
        ("governor", serde_json::json!("ondemand")),
        ("memory_mib", serde_json::json!(3794)),
        ("os", serde_json::json!("Debian GNU/Linux 12 (bookworm)")),
        ("linux", serde_json::json!("6.12.25+rpt-rpi-v8")),
    ] {
        assert_eq!(machine[key], expected, "{key}");
    }
    let state = State::read(&root).words();
    assert_eq!(
        state,
        "48 °C, 600 MHz, held back by the firmware: nothing (since the start: undervoltage, throttled)"
    );
}

#[test]
fn nothing_says_whose_board_it_is() {
    let (_folder, root) = tree(PI);
    let all = format!("{:?} {:?}", Machine::read(&root), State::read(&root));
    for secret in ["deadbeef", "anna"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn a_system_that_says_nothing_is_described_too() {
    let (_folder, root) = tree(&[]);
    let machine = Machine::read(&root);
    let values = serde_json::to_value(&machine).expect("it is plain data");
    assert!(values["board"].is_null() && values["memory_mib"].is_null());
    let rows = machine.rows();
    let unknown = rows.iter().filter(|(_, value)| value.is_none());
    assert_eq!(unknown.count(), 5, "{rows:?}");
    assert_eq!(State::read(&root).words(), "not known");
}

#[test]
fn cores_have_names() {
    for (cpuinfo, expected) in [
        (
            "model name\t: AMD EPYC\nmodel name\t: AMD EPYC\n",
            vec!["2 × AMD EPYC"],
        ),
        (
            "model name\t: ARMv7 Processor rev 4 (v7l)\nCPU implementer : 0x41\nCPU part : 0xd03\n",
            vec!["1 × Cortex-A53"],
        ),
        (
            "CPU implementer: 0x41\nCPU part: 0xd05\nCPU implementer: 0x41\nCPU part: 0xd0b\nCPU implementer: 0x41\nCPU part: 0xd0b\n",
            vec!["1 × Cortex-A55", "2 × Cortex-A76"],
        ),
        (
            "CPU implementer: 0x61\nCPU part: 0xd03\n",
            vec!["1 × core 0xd03 of implementer 0x61"],
        ),
        ("", vec![]),
        ("nonsense\n:\n", vec![]),
    ] {
        assert_eq!(cores(cpuinfo), expected, "{cpuinfo}");
    }
}

#[test]
fn a_value_cannot_break_the_table() {
    let (_folder, root) = tree(&[
        ("proc/device-tree/model", "Board | with\nbars\0\0"),
        ("proc/sys/kernel/osrelease", &"9".repeat(5000)),
    ]);
    let machine = Machine::read(&root);
    assert_eq!(machine.board.as_deref(), Some("Board  withbars"));
    assert_eq!(machine.linux.map(|text| text.len()), Some(120));
}
