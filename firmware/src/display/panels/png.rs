//! A PNG file: a board without a display, tests, and other programs that want to see what is shown.

use crate::display::panel::{Manner, Panel, PanelError};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Writes the newest frame to a file. Whoever reads it sees one frame or the next, whole.
pub(super) struct PngPanel {
    size: (u32, u32),
    file: PathBuf,
}

impl PngPanel {
    pub(super) fn new(size: (u32, u32), file: PathBuf) -> Self {
        Self { size, file }
    }

    fn write(&self, frame: &RgbImage) -> Result<(), PanelError> {
        write(&self.file, frame).map_err(|error| {
            let file = self.file.display();
            PanelError(format!(
                "panel: {file}: {error}: choose a file that can be written"
            ))
        })
    }
}

/// Not synced: what a panel shows need not outlive the power, and the card wears.
fn write(file: &Path, frame: &RgbImage) -> std::io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let temporary = tempfile::Builder::new()
        .prefix(".panel-")
        .permissions(permissions())
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let mut out = BufWriter::new(&temporary);
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Sub)
        .write_image(
            frame,
            frame.width(),
            frame.height(),
            ExtendedColorType::Rgb8,
        )
        .map_err(std::io::Error::other)?;
    out.flush()?;
    drop(out);
    temporary.persist(file)?;
    Ok(())
}

/// Others may look, as at any picture; the process's mask still holds.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o644)
}

impl Panel for PngPanel {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        // Whoever looks at a file looks no more often.
        Manner::Light {
            frames_per_second: 4.0,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        self.write(frame)
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        if dark {
            return self.write(&RgbImage::new(self.size.0, self.size.1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn read(file: &Path) -> RgbImage {
        image::open(file).expect("it was written").into_rgb8()
    }

    #[test]
    fn the_file_is_the_frame_and_the_folder_has_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("panel.png");
        let mut panel = PngPanel::new((5, 3), file.clone());
        for value in [9, 200] {
            let frame = RgbImage::from_pixel(5, 3, Rgb([value, 0, 1]));
            panel.show(&frame).expect("it can be written");
            assert_eq!(read(&file), frame);
        }
        panel.set_dark(true).expect("it can be written");
        assert_eq!(read(&file), RgbImage::new(5, 3));
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("no/panel.png");
        let mut panel = PngPanel::new((1, 1), file);
        let error = panel.show(&RgbImage::new(1, 1)).expect_err("no folder");
        assert!(error.to_string().contains("no/panel.png"), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}
