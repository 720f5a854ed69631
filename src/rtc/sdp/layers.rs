//! The RTP streams that the writer of an m-section sends: its SSRCs (RFC 5576), and the layers of simulcast, by name
//! (RFC 8851, RFC 8853) or as browsers grouped them before there were names.
use super::{Layer, Sent};

/// Most SSRCs, and pairs of them, of one m-section that are kept: four layers with retransmissions need eight.
const MAX_SSRCS: usize = 16;
/// Most layers of one m-section that are kept: browsers and OBS send four at most.
const MAX_LAYERS: usize = 8;
/// Longest name of a layer that is kept: what one RTP header extension holds in its short form (RFC 8285 section 4.2).
const MAX_RID: usize = 16;
/// Longest cname that is kept; RTCP allows 255 bytes (RFC 3550 section 6.5).
const MAX_CNAME: usize = 255;
/// Most payload types that a layer is held to.
const MAX_FORMATS: usize = 16;

/// What the lines of a section say, while they come.
#[derive(Debug, Default)]
pub struct Layers {
    ssrcs: Vec<u32>,
    /// Media and retransmission SSRC (RFC 5576 section 4.2, RFC 4588 section 8.6).
    pairs: Vec<(u32, u32)>,
    /// `a=ssrc-group:SIM`, the smallest first.
    group: Vec<u32>,
    rids: Vec<Layer>,
    /// Names in `a=simulcast`, in its order, and whether each one pauses at first.
    order: Option<Vec<(String, bool)>>,
    cname: Option<String>,
}

impl Layers {
    pub fn ssrc(&mut self, value: &str) {
        let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let Ok(ssrc) = ssrc.parse::<u32>() else { return };
        if self.ssrcs.len() < MAX_SSRCS && !self.ssrcs.contains(&ssrc) {
            self.ssrcs.push(ssrc);
        }
        if let Some(cname) = attribute.trim().strip_prefix("cname:")
            && self.cname.is_none()
            && cname.len() <= MAX_CNAME
            && cname.bytes().all(|b| b.is_ascii_graphic())
        {
            self.cname = Some(cname.to_owned());
        }
    }

    pub fn ssrc_group(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().unwrap_or_default();
        let mut ssrcs = words.map_while(|word| word.parse::<u32>().ok());
        if semantics.eq_ignore_ascii_case("FID") {
            let pair = ssrcs.next().zip(ssrcs.next());
            self.pairs.extend(pair.filter(|_| self.pairs.len() < MAX_SSRCS));
        } else if semantics.eq_ignore_ascii_case("SIM") && self.group.is_empty() {
            self.group = ssrcs.take(MAX_LAYERS).collect();
        }
    }

    /// `<name> send [pt=<types>;…]` (RFC 8851 section 10).
    pub fn rid(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let (Some(name), Some(direction)) = (words.next(), words.next()) else { return };
        let known = || self.rids.iter().any(|layer| layer.name == name);
        if !direction.eq_ignore_ascii_case("send") || self.rids.len() == MAX_LAYERS || !is_rid(name) || known() {
            return;
        }
        let restrictions = words.next().unwrap_or_default().split(';');
        let formats = restrictions.filter_map(|restriction| restriction.trim().strip_prefix("pt=")).next();
        let formats = formats.into_iter().flat_map(|list| list.split(',')).filter_map(|format| format.parse().ok());
        self.rids.push(Layer { name: name.to_owned(), formats: formats.take(MAX_FORMATS).collect() });
    }

    /// `send <names>` with `;` between layers, `,` between forms of one and `~` before what pauses (RFC 8853 section 5.1).
    pub fn simulcast(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        while let (Some(direction), Some(list)) = (words.next(), words.next()) {
            if direction.eq_ignore_ascii_case("send") && self.order.is_none() {
                // A draft wrote `send rid=a;b`.
                let list = list.strip_prefix("rid=").unwrap_or(list);
                let names = list.split(';').filter_map(|layer| layer.split(',').next());
                let names = names.map(|name| match name.strip_prefix('~') {
                    Some(name) => (name.to_owned(), true),
                    None => (name.to_owned(), false),
                });
                self.order = Some(names.take(MAX_LAYERS).collect());
            }
        }
    }

    pub fn finish(&self) -> Sent {
        let retransmits = |ssrc: u32| self.pairs.iter().any(|(_, rtx)| *rtx == ssrc);
        // Browsers list the smallest layer first.
        let largest = self.group.last().copied();
        let first = || self.ssrcs.iter().copied().find(|ssrc| !retransmits(*ssrc));
        let ssrc = largest.or(self.pairs.first().map(|(media, _)| *media)).or_else(first);
        let mut layers = self.rids.clone();
        if let Some(order) = &self.order {
            let place = |layer: &Layer| order.iter().position(|(name, _)| *name == layer.name);
            layers.retain(|layer| place(layer).is_some());
            layers.sort_by_key(|layer| place(layer).map(|place| (order[place].1, place)));
        }
        Sent {
            ssrc,
            rtx_ssrc: self.pairs.iter().find(|(media, _)| Some(*media) == ssrc).map(|(_, rtx)| *rtx),
            simulcast: layers.len() > 1 || self.ssrcs.iter().filter(|ssrc| !retransmits(**ssrc)).count() > 1,
            layers,
            cname: self.cname.clone(),
        }
    }
}

/// RFC 8851 section 10, as corrected: letters, digits, `-` and `_`.
pub fn is_rid(name: &str) -> bool {
    let char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_RID).contains(&name.len()) && name.bytes().all(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &str) -> Sent {
        let mut layers = Layers::default();
        for line in lines.lines() {
            let (name, value) = line.split_once(':').unwrap();
            match name {
                "ssrc" => layers.ssrc(value),
                "ssrc-group" => layers.ssrc_group(value),
                "rid" => layers.rid(value),
                _ => layers.simulcast(value),
            }
        }
        layers.finish()
    }

    fn names(sent: &Sent) -> Vec<&str> {
        sent.layers.iter().map(|layer| layer.name.as_str()).collect()
    }

    #[test]
    fn of_several_named_layers_the_largest_one_counts_with_its_own_retransmissions() {
        let sent = sent(
            "ssrc-group:SIM 1 2 3\nssrc-group:FID 1 11\nssrc-group:FID 2 12\nssrc-group:FID 3 13\n\
             ssrc:1 cname:a\nssrc:2 cname:a\nssrc:3 cname:a\nssrc:11 cname:a\nssrc:13 cname:a",
        );
        assert_eq!((sent.ssrc, sent.rtx_ssrc, sent.simulcast), (Some(3), Some(13), true));
        assert_eq!(sent.cname.as_deref(), Some("a"));
    }

    #[test]
    fn a_retransmission_that_is_named_first_is_not_taken_for_the_media() {
        let sent = sent("ssrc:9 cname:a\nssrc:5 cname:a\nssrc-group:FID 5 9");
        assert_eq!((sent.ssrc, sent.rtx_ssrc, sent.simulcast), (Some(5), Some(9), false));
    }

    #[test]
    fn layers_come_in_the_order_of_the_simulcast_line_and_paused_ones_last() {
        let rids = "rid:q send\nrid:h send pt=96,97;max-width=640\nrid:f send\nrid:r recv\nrid:x send";
        assert_eq!(names(&sent(&format!("{rids}\nsimulcast:send ~f,q;h;q"))), ["h", "q", "f"]);
        assert_eq!(names(&sent(&format!("{rids}\nsimulcast:recv r send rid=q;f"))), ["q", "f"]);
        let unordered = sent(rids);
        assert_eq!((names(&unordered).len(), unordered.simulcast), (4, true));
        assert_eq!(unordered.layers[1].formats, [96, 97]);
    }

    #[test]
    fn one_layer_is_no_simulcast() {
        let sent = sent("rid:a send\nsimulcast:send a");
        assert_eq!((names(&sent), sent.simulcast), (vec!["a"], false));
    }

    #[test]
    fn names_that_could_not_be_written_back_are_passed_over() {
        assert_eq!(names(&sent("rid:a;b send\nrid:12345678901234567 send\nrid:a-_9 send\nrid: send")), ["a-_9"]);
    }
}
