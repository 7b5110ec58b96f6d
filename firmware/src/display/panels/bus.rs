//! The SPI bus and single lines, as the kernel offers them, behind the traits of `embedded-hal`.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{self, InputPin, OutputPin};
use embedded_hal::spi::{self, Operation, SpiDevice};
use gpiocdev::Request;
use gpiocdev::line::{Bias, Value};
use spidev::{SpiModeFlags, Spidev, SpidevOptions, SpidevTransfer};
use std::fmt::{self, Display};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// What spidev takes at once, unless the kernel is started with `spidev.bufsiz`.
const AT_ONCE: usize = 4096;

/// What the kernel says of a bus or a line.
#[derive(thiserror::Error)]
#[error("{0}")]
pub(super) struct BusError(String);

/// The same text: what is generic over buses knows no other.
impl fmt::Debug for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BusError {
    fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

impl spi::Error for BusError {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

impl digital::Error for BusError {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

/// A device on an SPI bus, such as `/dev/spidev0.0`. Between pieces of 4096 bytes the device is deselected for a moment,
/// which displays do not mind: they count bytes, not selections.
pub(super) struct Spi(Spidev);

impl Spi {
    pub(super) fn open(device: &Path, speed_hz: u32) -> Result<Self, BusError> {
        let mut spi = Spidev::open(device).map_err(BusError::new)?;
        let options = SpidevOptions::new()
            .bits_per_word(8)
            .max_speed_hz(speed_hz)
            .mode(SpiModeFlags::SPI_MODE_0)
            .build();
        spi.configure(&options).map_err(BusError::new)?;
        Ok(Self(spi))
    }
}

impl spi::ErrorType for Spi {
    type Error = BusError;
}

impl SpiDevice for Spi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), BusError> {
        for operation in operations {
            match operation {
                Operation::Write(bytes) => bytes
                    .chunks(AT_ONCE)
                    .try_for_each(|piece| self.0.write_all(piece)),
                Operation::Read(bytes) => self.0.transfer(&mut SpidevTransfer::read(bytes)),
                Operation::Transfer(read, written) => self
                    .0
                    .transfer(&mut SpidevTransfer::read_write(written, read)),
                Operation::TransferInPlace(bytes) => {
                    let written = bytes.to_vec();
                    self.0
                        .transfer(&mut SpidevTransfer::read_write(&written, bytes))
                }
                Operation::DelayNs(ns) => {
                    Sleep.delay_ns(*ns);
                    Ok(())
                }
            }
            .map_err(BusError::new)?;
        }
        Ok(())
    }
}

/// One line of a GPIO chip.
pub(super) struct Line(Request);

impl Line {
    pub(super) fn output(chip: &Path, line: u32, high: bool) -> Result<Self, BusError> {
        let value = if high { Value::Active } else { Value::Inactive };
        Self::request(chip, line, |builder| builder.as_output(value))
    }

    /// With a pull-up, so that a cable that is not there reads as high.
    pub(super) fn input(chip: &Path, line: u32) -> Result<Self, BusError> {
        Self::request(chip, line, |builder| {
            builder.as_input().with_bias(Bias::PullUp)
        })
    }

    fn request(
        chip: &Path,
        line: u32,
        as_what: impl FnOnce(&mut gpiocdev::request::Builder) -> &mut gpiocdev::request::Builder,
    ) -> Result<Self, BusError> {
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer("easel").with_line(line);
        let request = as_what(&mut builder).request();
        request
            .map(Self)
            .map_err(|error| BusError(format!("line {line} of {}: {error}", chip.display())))
    }

    fn set(&mut self, value: Value) -> Result<(), BusError> {
        self.0.set_lone_value(value).map_err(BusError::new)
    }
}

impl digital::ErrorType for Line {
    type Error = BusError;
}

impl OutputPin for Line {
    fn set_low(&mut self) -> Result<(), BusError> {
        self.set(Value::Inactive)
    }

    fn set_high(&mut self) -> Result<(), BusError> {
        self.set(Value::Active)
    }
}

impl InputPin for Line {
    fn is_high(&mut self) -> Result<bool, BusError> {
        let value = self.0.lone_value().map_err(BusError::new)?;
        Ok(value == Value::Active)
    }

    fn is_low(&mut self) -> Result<bool, BusError> {
        self.is_high().map(|high| !high)
    }
}

/// A line that need not be there.
pub(super) struct Optional<P>(pub(super) Option<P>);

impl<P: digital::ErrorType> digital::ErrorType for Optional<P> {
    type Error = P::Error;
}

impl<P: OutputPin> OutputPin for Optional<P> {
    fn set_low(&mut self) -> Result<(), P::Error> {
        self.0.as_mut().map_or(Ok(()), P::set_low)
    }

    fn set_high(&mut self) -> Result<(), P::Error> {
        self.0.as_mut().map_or(Ok(()), P::set_high)
    }
}

/// Waits by sleeping.
pub(super) struct Sleep;

impl DelayNs for Sleep {
    fn delay_ns(&mut self, ns: u32) {
        std::thread::sleep(Duration::from_nanos(ns.into()));
    }
}

/// A bus that writes down what is done on it.
#[cfg(test)]
pub(super) mod recording {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What was done.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(in super::super) enum Done {
        Wrote(Vec<u8>),
        Set(&'static str, bool),
        Slept(u64),
        Asked(&'static str, bool),
    }

    /// What was sent after a command byte.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(in super::super) struct Command(pub(crate) u8, pub(crate) Vec<u8>);

    /// What BUSY reads, from what was done before.
    type Busy = Arc<Mutex<Box<dyn Fn(&[Done]) -> bool + Send>>>;

    #[derive(Clone)]
    pub(in super::super) struct Bus {
        log: Arc<Mutex<Vec<Done>>>,
        busy: Busy,
        /// Writes fail.
        broken: Arc<Mutex<bool>>,
    }

    impl Default for Bus {
        fn default() -> Self {
            Self::with_busy(|_| true)
        }
    }

    impl Bus {
        pub(in super::super) fn with_busy(busy: impl Fn(&[Done]) -> bool + Send + 'static) -> Self {
            Self {
                log: Arc::default(),
                busy: Arc::new(Mutex::new(Box::new(busy))),
                broken: Arc::default(),
            }
        }

        pub(in super::super) fn set_broken(&self, broken: bool) {
            *self.broken.lock().unwrap() = broken;
        }

        pub(in super::super) fn pin(&self, name: &'static str) -> Pin {
            Pin(self.clone(), name)
        }

        pub(in super::super) fn take(&self) -> Vec<Done> {
            std::mem::take(&mut self.log.lock().unwrap())
        }

        /// Commands and their data since the last look, told apart by the line `dc`, which is low for commands.
        pub(in super::super) fn commands(&self) -> Vec<Command> {
            commands_in(&self.take())
        }

        fn note(&self, done: Done) {
            self.log.lock().unwrap().push(done);
        }
    }

    pub(in super::super) fn commands_in(log: &[Done]) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut data = false;
        for done in log {
            match done {
                Done::Set("dc", high) => data = *high,
                Done::Wrote(bytes) if data => {
                    let command = commands.last_mut().expect("data follows a command");
                    command.1.extend(bytes);
                }
                Done::Wrote(bytes) => {
                    commands.extend(bytes.iter().map(|&byte| Command(byte, Vec::new())));
                }
                _ => {}
            }
        }
        commands
    }

    impl spi::ErrorType for Bus {
        type Error = BusError;
    }

    impl SpiDevice for Bus {
        fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), BusError> {
            if *self.broken.lock().unwrap() {
                return Err(BusError("no such device".to_owned()));
            }
            for operation in operations {
                if let Operation::Write(bytes) = operation {
                    self.note(Done::Wrote(bytes.to_vec()));
                }
            }
            Ok(())
        }
    }

    #[derive(Clone)]
    pub(in super::super) struct Pin(Bus, &'static str);

    impl digital::ErrorType for Pin {
        type Error = BusError;
    }

    impl OutputPin for Pin {
        fn set_low(&mut self) -> Result<(), BusError> {
            self.0.note(Done::Set(self.1, false));
            Ok(())
        }

        fn set_high(&mut self) -> Result<(), BusError> {
            self.0.note(Done::Set(self.1, true));
            Ok(())
        }
    }

    impl InputPin for Pin {
        fn is_high(&mut self) -> Result<bool, BusError> {
            let value = (self.0.busy.lock().unwrap())(&self.0.log.lock().unwrap());
            self.0.note(Done::Asked(self.1, value));
            Ok(value)
        }

        fn is_low(&mut self) -> Result<bool, BusError> {
            self.is_high().map(|high| !high)
        }
    }

    impl DelayNs for Bus {
        fn delay_ns(&mut self, ns: u32) {
            self.note(Done::Slept((ns / 1_000_000).into()));
        }
    }
}
