//! The virtual machine.

use super::monitor::{Monitor, connect};
use super::ramdisk::Ramdisk;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The screen of the machine.
pub(crate) const SCREEN: (u32, u32) = (800, 480);

const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_gpu",
    "xhci_pci",
    "usbhid",
    "hid_generic",
    "evdev",
    "uinput",
];

pub(crate) struct Machine {
    qemu: Child,
    folder: PathBuf,
    pub(crate) monitor: Monitor,
    /// To and from the program inside.
    pub(crate) talk: BufReader<UnixStream>,
}

impl Machine {
    /// Boots Debian's kernel, with this test's program as all that runs.
    pub(crate) fn boot(folder: &Path, test: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let prepared = Command::new(root.join("tests/guest/prepare.sh"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&prepared.stderr);
        assert!(prepared.status.success(), "{said}");
        let kernel = root.join("../target/guest/kernel");

        let mut disk = Ramdisk::default();
        disk.add("bin/busybox", fs::read("/bin/busybox").unwrap());
        disk.add_program("test", &std::env::current_exe().unwrap());
        let modules = disk.add_modules(&kernel, MODULES);
        disk.add("init", init(&modules, test).into_bytes());
        fs::write(folder.join("ramdisk"), disk.bytes()).unwrap();

        let (width, height) = SCREEN;
        let socket =
            |name: &str| format!("unix:{},server=on,wait=off", folder.join(name).display());
        let qemu = Command::new("qemu-system-x86_64")
            .args([
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-vga",
                "none",
                "-m",
                "512",
            ])
            // Without the processor's help: a few seconds, and the same in a machine that is virtual itself.
            .args(["-machine", "q35", "-accel", "tcg"])
            .arg("-kernel")
            .arg(first_file(&kernel.join("boot"), "vmlinuz"))
            .arg("-initrd")
            .arg(folder.join("ramdisk"))
            .args([
                "-append",
                "console=ttyS0 panic=-1 quiet vt.global_cursor_default=0 i8042.nokbd",
            ])
            .args([
                "-device",
                &format!("virtio-gpu-pci,xres={width},yres={height}"),
            ])
            .args([
                "-device",
                "qemu-xhci,id=usb",
                "-device",
                "usb-kbd,bus=usb.0,id=keyboard",
            ])
            .arg("-serial")
            .arg(format!("file:{}", folder.join("console").display()))
            .args(["-serial", &socket("talk"), "-qmp", &socket("monitor")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            qemu,
            monitor: Monitor::open(folder),
            talk: connect(&folder.join("talk")),
            folder: folder.to_owned(),
        }
    }

    /// The next line from inside; `None`: the machine is off.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.talk.read_line(&mut line).unwrap_or_else(|error| {
            panic!("nothing was heard: {error}\n{}", self.console());
        });
        (read > 0).then(|| line.trim().to_owned())
    }

    pub(crate) fn say(&mut self, word: &str) {
        writeln!(self.talk.get_mut(), "{word}").unwrap();
    }

    /// What the kernel and the program inside printed.
    pub(crate) fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("console")).unwrap_or_default())
            .into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// What the kernel starts.
fn init(modules: &[String], test: &str) -> String {
    let load: String = modules
        .iter()
        .map(|module| format!("$b insmod /{module}\n"))
        .collect();
    format!(
        "#!/bin/busybox sh\n\
         b=/bin/busybox\n\
         $b mkdir -p /proc /sys /dev /tmp\n\
         $b mount -t proc proc /proc\n\
         $b mount -t sysfs sysfs /sys\n\
         $b mount -t devtmpfs devtmpfs /dev\n\
         {load}\
         $b stty -F /dev/ttyS1 raw -echo\n\
         /test {test} --exact --ignored --nocapture\n\
         $b poweroff -f\n"
    )
}

fn first_file(folder: &Path, name: &str) -> PathBuf {
    let files = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let mut named = files.filter(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(name)
    });
    named
        .next()
        .unwrap_or_else(|| panic!("no {name} in {}", folder.display()))
}
