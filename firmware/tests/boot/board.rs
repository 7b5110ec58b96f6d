//! An emulated board with a card in it: 64-bit Arm, a screen, a network.

use crate::broker::free_port;
use crate::monitor::Monitor;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pixels of the screen: those of board-configs/panels/hdmi.toml, whose mode is taken where a screen has it.
pub(crate) const SCREEN: (u32, u32) = (1920, 1080);

/// A start, or a picture, takes a minute or two on an emulated board that has the machine for itself.
pub(crate) const AT_MOST: Duration = Duration::from_secs(15 * 60);

/// Where the boot partition begins: `firmware/image/build.sh`.
const BOOT: &str = "@@4M";

/// A card of the image, larger than the image as cards are.
pub(crate) struct Card(PathBuf);

impl Card {
    pub(crate) fn write(image: &Path, folder: &Path) -> Self {
        let card = folder.join("card");
        fs::copy(image, &card).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: firmware/image/build.sh makes it",
                image.display()
            )
        });
        let gib = 1 << 30;
        let file = File::options().write(true).open(&card).unwrap();
        file.set_len(gib).unwrap();
        Self(card)
    }

    /// A file of the boot partition, as a computer reads it.
    pub(crate) fn read(&self, name: &str) -> String {
        let file = self.mtools("mtype", &[&format!("::{name}")]);
        String::from_utf8(file).unwrap()
    }

    /// Changes a file of the boot partition.
    pub(crate) fn edit(&self, name: &str, text: &str) {
        let file = self.0.with_file_name(name);
        fs::write(&file, text).unwrap();
        self.mtools(
            "mcopy",
            &["-o", file.to_str().unwrap(), &format!("::{name}")],
        );
    }

    fn take(&self, name: &str) -> PathBuf {
        let file = self.0.with_file_name(name);
        self.mtools(
            "mcopy",
            &["-n", "-o", &format!("::{name}"), file.to_str().unwrap()],
        );
        file
    }

    fn mtools(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(program)
            .args(["-i", &format!("{}{BOOT}", self.0.display())])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: apt-get install mtools"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        output.stdout
    }
}

/// A board whose power is on; it is cut when this goes.
pub(crate) struct Board {
    qemu: Child,
    pub(crate) monitor: Monitor,
    console: PathBuf,
    /// When its power was switched on.
    pub(crate) begun: Instant,
    /// Where this machine reaches the port of MQTT on the board.
    pub(crate) mqtt: u16,
}

impl Board {
    /// The card's own kernel and its own command line; only the boot loader is the emulator's.
    pub(crate) fn power_on(card: &Card, folder: &Path) -> Self {
        let line = card.read("cmdline.txt");
        let line = format!("{} console=ttyAMA0 systemd.show_status=1", line.trim());
        let console = folder.join("console");
        let monitor = folder.join("monitor");
        let _ = fs::remove_file(&monitor);
        let (width, height) = SCREEN;
        let mqtt = free_port();
        let begun = Instant::now();
        let qemu = Command::new("qemu-system-aarch64")
            .args(["-nodefaults", "-no-reboot", "-display", "none"])
            .args(["-machine", "virt", "-accel", "tcg,thread=multi"])
            .args(["-cpu", "cortex-a72", "-smp", "2", "-m", "1024"])
            .arg("-kernel")
            .arg(card.take("vmlinuz"))
            .arg("-initrd")
            .arg(card.take("initrd.img"))
            .args(["-append", &line])
            .arg("-drive")
            .arg(format!(
                "if=none,id=card,format=raw,file={}",
                card.0.display()
            ))
            .args(["-device", "virtio-blk-pci,drive=card"])
            .args([
                "-device",
                &format!("virtio-gpu-pci,xres={width},yres={height}"),
            ])
            .arg("-netdev")
            .arg(format!("user,id=net,hostfwd=tcp:127.0.0.1:{mqtt}-:1883"))
            .args(["-device", "virtio-net-pci,netdev=net,romfile="])
            .args(["-device", "virtio-rng-pci"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", monitor.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-aarch64: apt-get install qemu-system-arm");
        Self {
            qemu,
            monitor: Monitor::open(folder),
            console,
            begun,
            mqtt,
        }
    }

    /// What the kernel and the service manager print, without its colours.
    pub(crate) fn console(&self) -> String {
        let printed = fs::read(&self.console).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let mut parts = printed.split("\u{1b}[");
        let first = parts.next().unwrap_or_default().to_owned();
        // A sequence ends with a letter.
        parts.fold(first, |text, part| {
            text + part
                .split_once(|c: char| c.is_ascii_alphabetic())
                .map_or("", |(_, rest)| rest)
        })
    }

    /// Waits until the console says this.
    pub(crate) fn says(&mut self, text: &str) {
        self.until(text, |board| board.console().contains(text));
    }

    /// Waits until it is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let ended = self.qemu.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{what}: the board went off:\n{}",
                self.console()
            );
            if begun.elapsed() > AT_MOST {
                let file = std::env::temp_dir().join("easel-boot-screen.png");
                self.monitor.screen().save(&file).unwrap();
                panic!("{what}: not so: {}\n{}", file.display(), self.console());
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// As it happens in houses: nothing is told.
    pub(crate) fn cut_power(self) {}
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
