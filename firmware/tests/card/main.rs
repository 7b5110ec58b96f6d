//! The first start of a card: what `firmware/image/files/usr/lib/easel-image/set-up` makes of `easel.txt`.
#![allow(
    clippy::unwrap_used,
    reason = "a test, whose helpers are functions of their own"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A card: its root, and its boot partition beside it.
struct Card(TempDir);

impl Card {
    fn new() -> Self {
        let card = Self(tempfile::tempdir().unwrap());
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs");
        let installed = card.0.path().join("usr/share/easel/board-configs");
        fs::create_dir_all(installed.join("panels")).unwrap();
        fs::copy(configs.join("base.toml"), installed.join("base.toml")).unwrap();
        for name in [
            "pi4",
            "generic-arm64",
            "panels/hdmi",
            "panels/inky-impression-7in3",
        ] {
            fs::write(installed.join(format!("{name}.toml")), "").unwrap();
        }
        for folder in [
            "boot",
            "etc",
            "usr/share/zoneinfo/Europe",
            "proc/device-tree",
        ] {
            fs::create_dir_all(card.0.path().join(folder)).unwrap();
        }
        card.write("usr/share/zoneinfo/Europe/Berlin", "");
        card.write("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0");
        card
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        let path = self.0.path().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn has(&self, path: &str) -> bool {
        self.0.path().join(path).exists()
    }

    /// Starts it once; gives what the log on the boot partition says.
    fn start(&self) -> Result<String, String> {
        let script = "image/files/usr/lib/easel-image/set-up";
        let output = Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .env("EASEL_ROOT", self.0.path())
            .env("EASEL_BOOT", self.0.path().join("boot"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.is_empty(), "{said}");
        let log = self.read("boot/easel-setup.log");
        if output.status.success() {
            Ok(log)
        } else {
            Err(log)
        }
    }

    /// Starts it with this file.
    fn start_with(&self, text: impl AsRef<[u8]>) -> Result<String, String> {
        self.write("boot/easel.txt", text);
        self.start()
    }

    fn toml(&self) -> toml::Table {
        self.read("etc/easel/board.toml").parse().unwrap()
    }
}

/// What is wrong with this file, on a new card.
fn wrong(text: impl AsRef<[u8]>) -> String {
    let card = Card::new();
    let log = card.start_with(text).unwrap_err();
    assert!(!card.has("etc/easel"), "{log}");
    log
}

#[test]
fn the_file_as_it_comes_makes_a_frame_that_is_alone() {
    let card = Card::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/boot/easel.txt");
    let log = card.start_with(fs::read(shipped).unwrap()).unwrap();
    assert!(log.contains("board pi4"), "{log}");
    assert_eq!(card.toml()["inherits"].as_str(), Some("pi4"));
    assert!(!card.toml().contains_key("broker"));
    assert_eq!(card.read("etc/hostname"), "easel\n");
    assert!(
        !card.has("etc/ssh/authorized_keys")
            && !card.has("etc/wpa_supplicant/wpa_supplicant-wlan0.conf")
    );
}

#[test]
fn every_line_of_the_shipped_file_can_be_used() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/boot/easel.txt");
    let shipped = fs::read_to_string(shipped).unwrap();
    let uncommented = shipped
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.contains(" = ") && !rest.starts_with(' '))
        })
        .map(|line| line.replace("AAAA…", "AAAAC3Nz"));
    let card = Card::new();
    card.start_with(uncommented.collect::<Vec<_>>().join("\n"))
        .unwrap();
    let toml = card.toml();
    assert_eq!(toml["inherits"].as_array().unwrap().len(), 2);
    assert_eq!(toml["broker"]["host"].as_str(), Some("homeassistant.local"));
    assert_eq!(toml["broker"]["username"].as_str(), Some("easel"));
    assert_eq!(toml["panel"]["rotation"].as_integer(), Some(0));
    assert_eq!(toml["kiosk"]["timezone"].as_str(), Some("Europe/Berlin"));
    assert_eq!(
        card.read("etc/ssh/authorized_keys"),
        "ssh-ed25519 AAAAC3Nz me@home\n"
    );
    let wifi = card.read("etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    assert!(
        wifi.contains("country=DE") && wifi.contains("ssid=4d79206e6574776f726b\n"),
        "{wifi}"
    );
    let zone = fs::read_link(card.0.path().join("etc/localtime")).unwrap();
    assert_eq!(zone, Path::new("/usr/share/zoneinfo/Europe/Berlin"));
}

#[test]
fn a_broker_of_the_frames_own_needs_a_user_and_a_password() {
    let card = Card::new();
    let own = "broker = embedded\nbroker_user = frame\n";
    card.start_with(format!("{own}broker_password = secret\n"))
        .unwrap();
    let broker = card.toml()["broker"].clone();
    assert_eq!(broker["embedded"].as_bool(), Some(true));
    assert_eq!(broker["username"].as_str(), Some("frame"));
    assert!(broker.get("host").is_none());
    // The password that was applied is still there.
    card.start_with(format!("{own}hostname = hall\n")).unwrap();
}

#[test]
fn brokers_are_written_as_people_write_them() {
    for (text, host, port, tls) in [
        ("b", "b", None, None),
        ("b.local:1884", "b.local", Some(1884), None),
        ("mqtt://10.0.0.2/", "10.0.0.2", None, None),
        ("mqtts://b:8884", "b", Some(8884), Some(true)),
        ("[fd00::2]:1883", "fd00::2", Some(1883), None),
        ("[fd00::2]", "fd00::2", None, None),
    ] {
        let card = Card::new();
        card.start_with(format!("broker = {text}")).unwrap();
        let broker = card.toml()["broker"].clone();
        assert_eq!(broker["host"].as_str(), Some(host), "{text}");
        let number = broker.get("port").and_then(toml::Value::as_integer);
        assert_eq!(
            (number, broker.get("tls").and_then(toml::Value::as_bool)),
            (port, tls),
            "{text}"
        );
    }
}

#[test]
fn passwords_are_taken_out_of_the_file_and_kept() {
    let card = Card::new();
    let text = "wifi_name = Home # 1\nwifi_country=DE\n wifi_password = \"pass # word\"\n\
                broker = b\nbroker_user = u\"\\u\nbroker_password =  se=cret'$(x)\n";
    let log = card.start_with(text).unwrap();
    let left = card.read("boot/easel.txt");
    for secret in ["pass # word", "se=cret"] {
        assert!(
            !left.contains(secret) && !log.contains(secret),
            "{left}{log}"
        );
    }
    let wifi = || card.read("etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    assert!(wifi().contains("psk=\"pass # word\""), "{}", wifi());
    assert_eq!(card.read("etc/easel/mqtt-password"), "se=cret'$(x)");
    assert_eq!(card.toml()["broker"]["username"].as_str(), Some("u\"\\u"));
    for file in [
        "etc/easel/mqtt-password",
        "etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
    ] {
        let mode = fs::metadata(card.0.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }

    // Something else is changed later.
    card.start_with(format!("{left}hostname = hall\n")).unwrap();
    assert_eq!(card.read("etc/hostname"), "hall\n");
    assert!(wifi().contains("psk=\"pass # word\""), "{}", wifi());
    assert_eq!(card.read("etc/easel/mqtt-password"), "se=cret'$(x)");

    // Another network has another password.
    let other = left.replace("Home", "Guests");
    let log = card.start_with(other).unwrap_err();
    assert!(log.contains("wifi_password: is missing"), "{log}");
    card.start_with("wifi_name = Guests\nwifi_country = DE\nwifi_password =")
        .unwrap();
    assert!(wifi().contains("key_mgmt=NONE"), "{}", wifi());
    card.start_with("").unwrap();
    assert!(!card.has("etc/wpa_supplicant/wpa_supplicant-wlan0.conf"));
}

#[test]
fn a_card_that_forgets_keeps_the_passwords_in_the_file() {
    let card = Card::new();
    fs::create_dir(card.0.path().join("run")).unwrap();
    card.write("run/easel-forgets", "");
    let text = "broker = house\nbroker_user = frame\nbroker_password = hunter2\n";
    let log = card.start_with(text).unwrap();
    assert!(log.contains("is applied"), "{log}");
    assert!(log.contains("take another card"), "{log}");
    assert_eq!(card.read("boot/easel.txt"), text);
    assert_eq!(card.read("etc/easel/mqtt-password").trim(), "hunter2");
}

#[test]
fn what_was_applied_is_left_alone() {
    let card = Card::new();
    card.start_with("hostname = hall\nbroker_password = secret\n")
        .unwrap();
    card.write("etc/hostname", "changed by hand\n");
    card.write("boot/easel-setup.log", "untouched");
    assert_eq!(card.start().unwrap(), "untouched");
    assert_eq!(card.read("etc/hostname"), "changed by hand\n");
    fs::remove_file(card.0.path().join("boot/easel.txt")).unwrap();
    assert_eq!(card.start().unwrap(), "untouched");
}

#[test]
fn files_of_all_editors_are_read() {
    let card = Card::new();
    let text = "\u{feff}hostname = hall\r\n# Straße\r\nwifi_name = Straße\r\nwifi_country = DE\r\nwifi_password = 12345678";
    card.start_with(text).unwrap();
    assert_eq!(card.read("etc/hostname"), "hall\n");
    let wifi = card.read("etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    assert!(wifi.contains("ssid=53747261c39f65\n"), "{wifi}");
    assert!(
        card.read("boot/easel.txt").ends_with("taken out"),
        "no line was added"
    );
    card.start_with("\u{feff}broker_password = secret").unwrap();
    let left = card.read("boot/easel.txt");
    assert_eq!(left, "\u{feff}# broker_password was applied and taken out");
    let two_bytes: Vec<u8> = "\u{feff}hostname = hall\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(wrong(two_bytes).contains("save it as UTF-8"));
}

#[test]
fn a_mistake_changes_nothing_and_is_named() {
    for (text, named) in [
        (
            "\n\nhostname = a b",
            "easel.txt: line 3: hostname: a b: give letters",
        ),
        ("hello", "line 1: hello: no such line: write key = value"),
        (
            "wifi = x",
            "line 1: wifi: no such key: there are: wifi_name",
        ),
        (
            "hostname = a\nhostname = b",
            "line 2: hostname: is there twice",
        ),
        (
            "wifi_name = a\nwifi_password = secret",
            "line 2: wifi_password: 6 characters: give 8 to 63",
        ),
        (
            "wifi_name = a\nwifi_password = secretsecret",
            "wifi_country: is missing",
        ),
        (
            "wifi_name = a\nwifi_country = DE",
            "wifi_password: is missing",
        ),
        ("wifi_name = 123456789012345678901234567890123", "33 bytes"),
        ("wifi_country = Germany", "give two capital letters"),
        ("broker = http://x", "broker: http://x: give a name"),
        ("broker = embedded", "broker_user: is missing: the embedded"),
        (
            "broker = embedded\nbroker_user = a",
            "broker_password: is missing",
        ),
        ("broker = a b", "broker: a b: give a name"),
        (
            "board = pi9",
            "board: pi9: the boards are generic-arm64, pi4",
        ),
        (
            "panel = ../pi4",
            "panel: ../pi4: the panels are hdmi, inky-impression-7in3",
        ),
        ("rotation = 45", "give 0, 90, 180 or 270"),
        (
            "timezone = Mars",
            "timezone: Mars: give one such as Europe/Berlin",
        ),
        (
            "timezone = ../../etc/passwd",
            "give one such as Europe/Berlin",
        ),
        ("ssh_key = secret", "ssh_key: no public key"),
    ] {
        let log = wrong(text);
        assert!(log.contains(named), "{text}: {log}");
        assert!(!log.contains("secret"), "{text}: {log}");
    }
}

#[test]
fn a_mistake_does_not_stop_a_frame_that_was_set_up() {
    let card = Card::new();
    card.start_with("hostname = hall").unwrap();
    card.start_with("hostname = a b").unwrap_err();
    assert_eq!(card.read("etc/hostname"), "hall\n");
    // It is not taken for applied.
    card.start().unwrap_err();
    let log = card.start_with("hostname = hall").unwrap();
    assert!(log.contains("easel.txt is applied"), "{log}");
}
