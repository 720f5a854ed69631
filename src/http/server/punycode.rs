//! Host names as people write them, in the form that browsers send: `küche.example` becomes `xn--kche-0ra.example`
//! (RFC 5891 section 4.4 with RFC 3492). Lower case is all of the mapping that is done.
use std::fmt::Write as _;

// RFC 3492 section 5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;
/// Longest label of a name (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// The name in ASCII; labels that cannot be written so stay as they are.
pub fn to_ascii(name: &str) -> String {
    let labels = name.to_lowercase();
    let labels = labels.split('.').map(|label| encode(label).unwrap_or_else(|| label.to_owned()));
    labels.collect::<Vec<_>>().join(".")
}

fn encode(label: &str) -> Option<String> {
    let characters: Vec<u32> = label.chars().map(u32::from).collect();
    if label.is_ascii() || characters.len() > MAX_LABEL {
        return None;
    }
    let basic: String = label.chars().filter(char::is_ascii).collect();
    let mut out = format!("xn--{basic}");
    if !basic.is_empty() {
        out.push('-');
    }
    let start = basic.len() as u32;
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, start);
    while (handled as usize) < characters.len() {
        let next = *characters.iter().filter(|character| **character >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for character in &characters {
            if *character < n {
                delta = delta.checked_add(1)?;
            }
            if *character == n {
                write_number(&mut out, delta, bias);
                bias = adapt(delta, handled + 1, handled == start);
                (delta, handled) = (0, handled + 1);
            }
        }
        (delta, n) = (delta.checked_add(1)?, n + 1);
    }
    Some(out)
}

/// A number in digits whose weights vary (RFC 3492 section 3.3).
fn write_number(out: &mut String, mut number: u32, bias: u32) {
    for k in (BASE..).step_by(BASE as usize) {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if number < threshold {
            break;
        }
        push_digit(out, threshold + (number - threshold) % (BASE - threshold));
        number = (number - threshold) / (BASE - threshold);
    }
    push_digit(out, number);
}

fn push_digit(out: &mut String, digit: u32) {
    // 0 to 25 are letters, 26 to 35 decimal digits.
    let _ = match digit {
        0..26 => write!(out, "{}", char::from(b'a' + digit as u8)),
        _ => write!(out, "{}", digit - 26),
    };
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_browsers_send() {
        for (name, expected) in [
            ("Küche.example", "xn--kche-0ra.example"),
            ("bücher.ÖBB.at", "xn--bcher-kva.xn--bb-eka.at"),
            ("東京.jp", "xn--1lqs71d.jp"),
            ("ünïcödé", "xn--ncd-dma1a7bzb"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("plain.lan", "plain.lan"),
            ("", ""),
        ] {
            assert_eq!(to_ascii(name), expected, "{name}");
        }
        assert_eq!(to_ascii(&"ü".repeat(64)), "ü".repeat(64));
    }
}
