//! What may stand after `test:`, with defaults and bounds.
use super::layout::Layout;
use crate::media::codec::Codec;
use crate::media::h264::parameters::Format;
use crate::media::h264::pictures::PCM_BYTES;
use std::fmt;
use std::ops::RangeInclusive;

/// Widths and heights in samples; beyond them decoders of phones give up.
pub const WIDTHS: RangeInclusive<u32> = 64..=1920;
pub const HEIGHTS: RangeInclusive<u32> = 64..=1088;
pub const FPS: RangeInclusive<u32> = 1..=60;
/// Longest distance of keyframes in milliseconds.
pub const MAX_GOP_MS: u32 = 60_000;
/// Bits per second of `pattern=noise`; the upper bound is that of level 4.2.
pub const BITRATES: RangeInclusive<u32> = 10_000..=50_000_000;
/// Bitrate of `pattern=noise` that doesn't say one.
pub const DEFAULT_BITRATE: u32 = 1_000_000;
/// What the moving parts of a picture take at most, in bits for each macroblock: level headroom for patterns without a bitrate.
const CARD_BITS_PER_MB: u32 = 64;

/// What the camera shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// A test card with a clock; a few KiB per picture.
    Clock,
    /// The card over eight colour bars.
    Bars,
    /// The card over noise that fills the bitrate.
    Noise,
}

/// Settings of a test camera, from its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOptions {
    /// Visible width and height in samples, both even. Default 640x360.
    pub size: (u32, u32),
    /// Frames per second. Default 10.
    pub fps: u32,
    /// Frames from one keyframe to the next. Default: those of two seconds.
    pub gop: u32,
    /// Default [`Pattern::Clock`].
    pub pattern: Pattern,
    /// Bits per second that [`Pattern::Noise`] fills.
    pub bitrate: Option<u32>,
    /// [`Codec::Pcmu`] or [`Codec::Pcma`], a beep each second. Default none.
    pub audio: Option<Codec>,
}

/// A wrong option, in the operator's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(String);

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

impl Default for TestOptions {
    fn default() -> Self {
        Self { size: (640, 360), fps: 10, gop: 20, pattern: Pattern::Clock, bitrate: None, audio: None }
    }
}

impl TestOptions {
    /// Reads `test:`, `test:?size=640x360&fps=10&gop=2s&pattern=noise&bitrate=3M&audio=pcma`.
    pub fn parse(source: &str) -> Result<Self, OptionError> {
        let wrong = || OptionError(format!("{source}: expected test: or test:?name=value&…"));
        let rest = source.strip_prefix("test:").ok_or_else(wrong)?;
        let query = match rest {
            "" => "",
            _ => rest.strip_prefix('?').ok_or_else(wrong)?,
        };
        let mut options = Self::default();
        let (mut gop, mut bitrate) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "size" => options.size = size(value)?,
                "fps" => {
                    let allowed = || refuse("fps", value, &format!("{} to {}", FPS.start(), FPS.end()));
                    options.fps = value.parse().ok().filter(|fps| FPS.contains(fps)).ok_or_else(allowed)?;
                }
                "gop" => gop = Some(value),
                "pattern" => {
                    options.pattern = match value {
                        "clock" => Pattern::Clock,
                        "bars" => Pattern::Bars,
                        "noise" => Pattern::Noise,
                        _ => return Err(refuse("pattern", value, "clock, bars, noise")),
                    }
                }
                "bitrate" => bitrate = Some(value),
                "audio" => {
                    options.audio = match value {
                        "none" => None,
                        "pcmu" => Some(Codec::Pcmu),
                        "pcma" => Some(Codec::Pcma),
                        _ => return Err(refuse("audio", value, "none, pcmu, pcma")),
                    }
                }
                _ => {
                    let allowed = "size, fps, gop, pattern, bitrate, audio";
                    return Err(OptionError(format!("test: unknown option \"{name}\"; allowed are {allowed}")));
                }
            }
        }
        // These depend on others, in whatever order they came.
        options.gop = gop.map_or(Ok(2 * options.fps), |value| frames(value, options.fps))?;
        options.bitrate = options.check_bitrate(bitrate)?;
        Ok(options)
    }

    /// What the SPS and SDP say of the stream.
    pub fn format(&self) -> Format {
        let mut format = Format { size: self.size, fps: self.fps, bitrate: 0 };
        let (width, height) = format.mbs();
        format.bitrate = self.bitrate.unwrap_or((width * height) as u32 * self.fps * CARD_BITS_PER_MB);
        format
    }

    /// Most that `pattern=noise` can fill: every free macroblock in every frame.
    fn most_bitrate(&self) -> u32 {
        let (width, _) = Format { size: self.size, fps: self.fps, bitrate: 0 }.mbs();
        let bits = width * Layout::new(self.size).free_mb_rows().len() * PCM_BYTES * 8 * self.fps as usize;
        (bits as u32).min(*BITRATES.end())
    }

    fn check_bitrate(&self, value: Option<&str>) -> Result<Option<u32>, OptionError> {
        let most = self.most_bitrate();
        let Some(value) = value else {
            return Ok((self.pattern == Pattern::Noise).then_some(DEFAULT_BITRATE.min(most)));
        };
        if self.pattern != Pattern::Noise {
            return Err(OptionError(format!("test: bitrate={value}: only pattern=noise has a bitrate")));
        }
        let (digits, unit) = match value.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1_000),
            None => value.strip_suffix(['m', 'M']).map_or((value, 1), |digits| (digits, 1_000_000)),
        };
        let bits = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
        let least = *BITRATES.start();
        match bits.filter(|bits| (least..=most).contains(bits)) {
            Some(bits) => Ok(Some(bits)),
            None => {
                let ((width, height), fps) = (self.size, self.fps);
                let allowed = format!("{}k to {}k at {width}x{height} and {fps} fps", least / 1000, most / 1000);
                Err(refuse("bitrate", value, &allowed))
            }
        }
    }
}

fn refuse(name: &str, value: &str, allowed: &str) -> OptionError {
    OptionError(format!("test: {name}={value}: allowed are {allowed}"))
}

/// `640x360`.
fn size(value: &str) -> Result<(u32, u32), OptionError> {
    let parsed = value.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let fits = |(width, height): &(u32, u32)| {
        WIDTHS.contains(width) && HEIGHTS.contains(height) && width % 2 == 0 && height % 2 == 0
    };
    parsed.filter(fits).ok_or_else(|| {
        let least = format!("{}x{}", WIDTHS.start(), HEIGHTS.start());
        let most = format!("{}x{}", WIDTHS.end(), HEIGHTS.end());
        refuse("size", value, &format!("even numbers from {least} to {most}"))
    })
}

/// `10s`, `500ms` or a number of frames, in frames.
fn frames(value: &str, fps: u32) -> Result<u32, OptionError> {
    let number = |digits: &str| digits.parse::<u32>().ok();
    let frames = if let Some(digits) = value.strip_suffix("ms") {
        number(digits).map(|ms| (u64::from(ms) * u64::from(fps) / 1000).max(u64::from(ms > 0)))
    } else if let Some(digits) = value.strip_suffix('s') {
        number(digits).map(|seconds| u64::from(seconds) * u64::from(fps))
    } else {
        number(value).map(u64::from)
    };
    let most = u64::from(fps) * u64::from(MAX_GOP_MS) / 1000;
    let allowed = || refuse("gop", value, &format!("1 to {most} frames, or a time up to {}s", MAX_GOP_MS / 1000));
    frames.filter(|frames| (1..=most).contains(frames)).map(|frames| frames as u32).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &str) -> String {
        TestOptions::parse(source).unwrap_err().to_string()
    }

    #[test]
    fn nothing_said_gives_the_defaults() {
        assert_eq!(TestOptions::parse("test:"), Ok(TestOptions::default()));
        assert_eq!(TestOptions::parse("test:?"), Ok(TestOptions::default()));
    }

    #[test]
    fn every_option_is_read_in_any_order() {
        let options = TestOptions::parse("test:?gop=10s&audio=pcma&bitrate=3M&pattern=noise&fps=30&size=1280x720");
        assert_eq!(
            options,
            Ok(TestOptions {
                size: (1280, 720),
                fps: 30,
                gop: 300,
                pattern: Pattern::Noise,
                bitrate: Some(3_000_000),
                audio: Some(Codec::Pcma),
            })
        );
    }

    #[test]
    fn a_gop_may_be_a_time_or_a_number_of_frames() {
        let gop = |source| TestOptions::parse(source).unwrap().gop;
        assert_eq!(gop("test:?gop=1"), 1);
        assert_eq!(gop("test:?gop=500ms"), 5);
        assert_eq!(gop("test:?gop=60s&fps=60"), 3600);
        assert_eq!(gop("test:?fps=30"), 60);
    }

    #[test]
    fn a_wrong_option_is_named_with_what_is_allowed() {
        assert_eq!(error("test:?fps=99"), "test: fps=99: allowed are 1 to 60");
        assert_eq!(error("test:?size=641x360"), "test: size=641x360: allowed are even numbers from 64x64 to 1920x1088");
        assert_eq!(error("test:?gop=61s"), "test: gop=61s: allowed are 1 to 600 frames, or a time up to 60s");
        assert_eq!(error("test:?gop=0ms"), "test: gop=0ms: allowed are 1 to 600 frames, or a time up to 60s");
        assert_eq!(error("test:?pattern=snow"), "test: pattern=snow: allowed are clock, bars, noise");
        assert_eq!(error("test:?audio=opus"), "test: audio=opus: allowed are none, pcmu, pcma");
        assert_eq!(error("test:?bitrate=3M"), "test: bitrate=3M: only pattern=noise has a bitrate");
        assert_eq!(
            error("test:?pattern=noise&bitrate=90G"),
            "test: bitrate=90G: allowed are 10k to 12288k at 640x360 and 10 fps"
        );
        assert_eq!(
            error("test:?colour=red"),
            "test: unknown option \"colour\"; allowed are size, fps, gop, pattern, bitrate, audio"
        );
        assert_eq!(error("test:fps=1"), "test:fps=1: expected test: or test:?name=value&…");
    }
}
