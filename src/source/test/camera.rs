//! The test camera without its clock: frame number and time of day in, access unit out.
use super::card::Card;
use super::layout::Layout;
use super::options::{Pattern, TestOptions};
use crate::media::h264::mosaic::{Cells, Mosaic};
use crate::media::h264::pictures::{Encoder, PCM_BYTES};
use std::time::Duration;

/// Keyframes on request: at most this many a second, because one may cost ten times as much as other frames.
const REQUESTED_PER_SECOND: u32 = 2;
/// A macroblock of noise in bytes: I_PCM samples, `mb_type`, alignment.
const NOISE_BYTES: i64 = PCM_BYTES as i64 + 2;

/// A camera that films its own test card.
#[derive(Debug)]
pub struct TestCamera {
    parameter_sets: [Vec<u8>; 2],
    encoder: Encoder,
    card: Card,
    picture: Mosaic,
    gop: u32,
    /// Frames between a keyframe and the next requested one.
    request_gap: u32,
    /// Frames since the last keyframe; `None` before the first.
    since_keyframe: Option<u32>,
    requested: bool,
    noise: Option<Noise>,
    /// Macroblocks that go as I_PCM in the current frame.
    pcm: Vec<bool>,
}

impl TestCamera {
    /// Draws and keeps all that stands still. `options` come from [`TestOptions::parse`], which checks them.
    pub fn new(options: &TestOptions) -> Self {
        let format = options.format();
        let mbs = format.mbs();
        let (card, picture) = Card::new(options);
        let noise = options.bitrate.filter(|_| options.pattern == Pattern::Noise);
        Self {
            parameter_sets: [format.sps(), format.pps()],
            encoder: Encoder::new(mbs),
            card,
            picture,
            gop: options.gop,
            request_gap: options.fps.div_ceil(REQUESTED_PER_SECOND),
            since_keyframe: None,
            requested: false,
            noise: noise.map(|bitrate| Noise::new(options, bitrate, mbs)),
            pcm: vec![false; mbs.0 * mbs.1],
        }
    }

    /// The next frame shall be a keyframe, or as soon as one is due that keeps to two a second.
    pub fn request_keyframe(&mut self) {
        self.requested = true;
    }

    /// Frame number `n` as of `wall_clock` (since 1970, UTC): NAL units of one access unit, a keyframe with its parameter sets.
    pub fn frame(&mut self, n: u32, wall_clock: Duration) -> Vec<Vec<u8>> {
        self.card.draw(n, wall_clock, &mut self.picture);
        if let Some(noise) = &mut self.noise {
            noise.draw(&mut self.picture, &mut self.pcm);
        }
        let keyframe = match self.since_keyframe {
            None => true,
            Some(since) => since + 1 >= self.gop || (self.requested && since + 1 >= self.request_gap),
        };
        let nals = if keyframe {
            self.since_keyframe = Some(0);
            self.requested = false;
            let [sps, pps] = self.parameter_sets.clone();
            vec![sps, pps, self.encoder.idr(&self.picture, &self.pcm)]
        } else {
            self.since_keyframe = self.since_keyframe.map(|since| since + 1);
            vec![self.encoder.p(&self.picture, &self.pcm)]
        };
        if let Some(noise) = &mut self.noise {
            noise.pay(nals.iter().map(Vec::len).sum());
        }
        nals
    }
}

/// Fills what the card leaves of the bitrate: a window of random texture that wanders over the free macroblocks.
#[derive(Debug)]
struct Noise {
    /// Free macroblocks, a contiguous range in raster order.
    free: std::ops::Range<usize>,
    /// Bytes for each frame.
    budget: i64,
    /// Bytes that were not spent yet, or spent too much; within one second.
    credit: i64,
    limit: i64,
    /// Free macroblocks before the window, in the order of `free`.
    window: usize,
    random: u32,
}

impl Noise {
    fn new(options: &TestOptions, bitrate: u32, mbs: (usize, usize)) -> Self {
        let rows = Layout::new(options.size).free_mb_rows();
        let second = i64::from(bitrate / 8);
        Self {
            free: rows.start * mbs.0..rows.end * mbs.0,
            budget: second / i64::from(options.fps),
            credit: 0,
            limit: second,
            window: 0,
            random: 0x2545_f491,
        }
    }

    fn draw(&mut self, picture: &mut Mosaic, pcm: &mut [bool]) {
        self.credit = (self.credit + self.budget).min(self.limit);
        let count = ((self.credit / NOISE_BYTES).max(0) as usize).min(self.free.len());
        pcm.fill(false);
        for _ in 0..count {
            let mb = self.free.start + self.window;
            self.window = (self.window + 1) % self.free.len();
            pcm[mb] = true;
            picture.set_macroblock(mb, self.texture());
        }
    }

    fn texture(&mut self) -> Cells {
        Cells {
            luma: std::array::from_fn(|_| 48 + (self.next() % 160) as u8),
            chroma: std::array::from_fn(|_| std::array::from_fn(|_| 96 + (self.next() % 64) as u8)),
        }
    }

    fn pay(&mut self, bytes: usize) {
        self.credit = (self.credit - bytes as i64).max(-self.limit);
    }

    /// Xorshift: any texture does, as long as it is the same in each run.
    fn next(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random >> 8
    }
}

#[cfg(test)]
mod tests {
    use super::super::code;
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const START: Duration = Duration::from_millis(1_700_000_000_042);

    fn camera(source: &str) -> (TestCamera, TestOptions) {
        let options = TestOptions::parse(source).unwrap();
        (TestCamera::new(&options), options)
    }

    fn is_keyframe(nals: &[Vec<u8>]) -> bool {
        nals[0][0] == 0x67
    }

    /// Decodes an Annex B stream into planar 4:2:0 frames; any word of complaint from the decoder fails the test.
    fn decode(stream: Vec<u8>, (width, height): (u32, u32)) -> Vec<Vec<u8>> {
        let mut ffmpeg = Command::new("ffmpeg")
            .args(["-v", "warning", "-strict", "1", "-err_detect", "explode", "-f", "h264", "-i", "pipe:0"])
            .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test decodes with ffmpeg: install it (apt install ffmpeg)");
        let mut input = ffmpeg.stdin.take().unwrap();
        let writer = std::thread::spawn(move || input.write_all(&stream));
        let output = ffmpeg.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(output.status.success());
        let frame = (width * height * 3 / 2) as usize;
        assert_eq!(output.stdout.len() % frame, 0);
        output.stdout.chunks(frame).map(<[u8]>::to_vec).collect()
    }

    /// The visible part of a picture as a decoder gives it out.
    fn samples(picture: &Mosaic, (width, height): (u32, u32)) -> Vec<u8> {
        let (width, height) = (width as usize, height as usize);
        let mut samples = Vec::with_capacity(width * height * 3 / 2);
        for y in 0..height {
            samples.extend((0..width).map(|x| picture.luma(x / 4, y / 4)));
        }
        for plane in 0..2 {
            for y in 0..height / 2 {
                samples.extend((0..width / 2).map(|x| picture.chroma(plane, x / 4, y / 4)));
            }
        }
        samples
    }

    /// A code row read from the middle of its blocks.
    fn read_row(luma: &[u8], (width, height): (u32, u32), row: u32) -> u32 {
        let y = (2 * row + 1) * height * code::ROW_PARTS as u32 / (2 * code::HEIGHT_PARTS as u32);
        let bits = (0..40).fold(0u64, |bits, column| {
            let x = (2 * column + 1) * width / 80;
            bits << 1 | u64::from(luma[(y * width + x) as usize] > 125)
        });
        let number = (bits >> 4) as u32;
        assert_eq!(bits, code::row(number), "row {row} of a {width}x{height} picture");
        number
    }

    /// Films `count` frames and holds each decoded sample against what was meant.
    fn film_and_compare(source: &str, count: u32) {
        let (mut camera, options) = camera(source);
        let (mut stream, mut meant) = (vec![], vec![]);
        for n in 0..count {
            let wall_clock = START + Duration::from_secs(1) * n / options.fps;
            if n == count / 2 {
                camera.request_keyframe();
            }
            for nal in camera.frame(n, wall_clock) {
                stream.extend_from_slice(&[0, 0, 0, 1]);
                stream.extend_from_slice(&nal);
            }
            meant.push((samples(&camera.picture, options.size), wall_clock));
        }
        let decoded = decode(stream, options.size);
        assert_eq!(decoded.len(), meant.len(), "{source}");
        for (n, (decoded, (meant, wall_clock))) in decoded.iter().zip(&meant).enumerate() {
            assert!(decoded == meant, "{source}: frame {n} differs");
            if options.size.0 >= code::MIN_SIZE.0 && options.size.1 >= code::MIN_SIZE.1 {
                assert_eq!(read_row(decoded, options.size, 0), n as u32);
                assert_eq!(read_row(decoded, options.size, 1), wall_clock.as_millis() as u32);
            }
        }
    }

    #[test]
    fn a_decoder_shows_sixty_frames_exactly_as_they_were_drawn() {
        film_and_compare("test:", 60);
    }

    #[test]
    fn pictures_of_all_sizes_and_patterns_are_decoded_exactly() {
        film_and_compare("test:?size=64x64&pattern=bars&gop=3", 8);
        film_and_compare("test:?size=160x90&fps=60&gop=1", 8);
        film_and_compare("test:?size=322x242&pattern=noise&bitrate=2M&gop=4", 12);
        film_and_compare("test:?size=360x640&pattern=bars", 8);
        film_and_compare("test:?size=640x360&pattern=noise&bitrate=12M", 12);
        film_and_compare("test:?size=1280x720&fps=25", 6);
        film_and_compare("test:?size=1920x1080&fps=30&pattern=noise&bitrate=8M", 6);
        film_and_compare("test:?size=1920x1088&fps=60", 6);
    }

    #[test]
    fn frame_numbers_may_wrap_within_a_gop() {
        film_and_compare("test:?size=64x64&gop=600", 300);
    }

    #[test]
    fn keyframes_come_with_the_gop_and_on_request_but_twice_a_second_at_most() {
        let (mut camera, _) = camera("test:?fps=10&gop=20");
        let keyframes: Vec<u32> = (0..60)
            .filter(|n| {
                if (22..42).contains(n) {
                    camera.request_keyframe();
                }
                is_keyframe(&camera.frame(*n, START))
            })
            .collect();
        assert_eq!(keyframes, [0, 20, 25, 30, 35, 40, 45]);
    }

    #[test]
    fn noise_keeps_its_bitrate_from_second_to_second() {
        let (mut camera, _) = camera("test:?fps=30&pattern=noise&bitrate=3M&gop=10s");
        let sizes: Vec<usize> = (0..300).map(|n| camera.frame(n, START).iter().map(Vec::len).sum()).collect();
        for second in sizes.chunks(30) {
            let bits = 8 * second.iter().sum::<usize>();
            assert!((2_850_000..=3_150_000).contains(&bits), "{bits}");
        }
        assert!(sizes[2..].iter().all(|bytes| (11_000..14_000).contains(bytes)), "{sizes:?}");
    }

    #[test]
    fn the_default_card_stays_small() {
        let (mut camera, options) = camera("test:");
        for n in 0..40 {
            let nals = camera.frame(n, START + Duration::from_millis(100) * n);
            let bytes: usize = nals.iter().map(Vec::len).sum();
            assert!(bytes < if is_keyframe(&nals) { 24_000 } else { 4_000 }, "frame {n}: {bytes} bytes");
        }
        assert_eq!(options.format().level(), 22);
    }
}
