//! RTCP, and the feedback that congestion control lives on.
use super::Target;
use crate::rtc::rtcp::{self, MAX_NACKED, Message, ReportBlock};
use crate::rtc::twcc::Feedback;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, TransportLayerCc};
use rtc_shared::marshal::Unmarshal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub const TARGETS: &[Target] = &[
    Target { name: "rtcp", max: 1500, run: compound, seeds: compounds },
    Target {
        name: "twcc",
        max: 1500,
        run: arrivals,
        seeds: || vec![[4, 0, 1].repeat(40), b"\x04\xff\xfe\x04\0\x01\x84\0\0\xf0\x40\0\x80\0\x02".to_vec()],
    },
];

fn all(bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    rtcp::read(bytes, |message| messages.push(message));
    messages
}

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 9,
        fraction_lost: 12,
        total_lost: -3,
        highest_seq: 70_000,
        jitter: 5,
        last_sr: 6,
        delay_since_sr: 7,
    }
}

fn compounds() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    rtcp::write_sender_report(&mut bytes, 1, 0x1234_5678_9abc_def0, 90_000, 3, 4);
    rtcp::write_cname(&mut bytes, 1, "porthole");
    rtcp::write_receiver_report(&mut bytes, 1, &[block(); 2]);
    rtcp::write_pli(&mut bytes, 1, 2);
    rtcp::write_nack(&mut bytes, 1, 2, &[5, 6, 9, 40]);
    rtcp::write_remb(&mut bytes, 1, 2_500_000, &[2, 3]);
    let mut feedback = bytes.clone();
    let start = Instant::now();
    let mut twcc = Feedback::new(3, start);
    (0..40u16).for_each(|number| twcc.arrived(start, &(number * number).to_be_bytes()));
    twcc.write(start + Duration::from_secs(1), 1, 2, &mut feedback);
    // FIR, BYE
    let fir: &[u8] = b"\x84\xce\0\x04\0\0\0\x01\0\0\0\0\0\0\0\x02\x07\0\0\0\x81\xcb\0\x01\0\0\0\x05";
    vec![bytes, feedback, fir.to_vec()]
}

/// What a compound says has a bound, and what we write of the same reads the same, to another implementation too.
fn compound(bytes: &[u8]) {
    let messages = all(bytes);
    assert!(messages.len() <= bytes.len() / 4);
    let mut nacked = 0;
    for message in &messages {
        let mut out = Vec::new();
        match message {
            Message::SenderReport { ssrc, ntp, rtp } => rtcp::write_sender_report(&mut out, *ssrc, *ntp, *rtp, 0, 0),
            Message::Report(block) => rtcp::write_receiver_report(&mut out, 1, &[*block]),
            Message::KeyframeRequest { ssrc } => rtcp::write_pli(&mut out, 1, *ssrc),
            Message::Nack { ssrc, lost } => {
                nacked += lost.len();
                rtcp::write_nack(&mut out, 1, *ssrc, lost);
                check_nack(&out, lost);
                continue;
            }
            Message::Bitrate { bps } => {
                rtcp::write_remb(&mut out, 1, *bps, &[2]);
                check_remb(&out, *bps);
                continue;
            }
            Message::TransportFeedback { received, lost } => {
                assert!(received + lost <= 0xffff);
                continue;
            }
            Message::Bye { .. } => continue,
        }
        assert_eq!(all(&out), std::slice::from_ref(message));
        rtc_rtcp::packet::unmarshal(&mut &out[..]).expect("another implementation reads it");
    }
    assert!(nacked <= MAX_NACKED);
}

fn check_nack(written: &[u8], lost: &[u16]) {
    // More of them than one compound may ask for are not read again.
    let again: BTreeSet<u16> = all(written)
        .into_iter()
        .flat_map(|message| if let Message::Nack { lost, .. } = message { lost } else { panic!("{message:?}") })
        .collect();
    assert_eq!(again, lost.iter().copied().collect());
    let foreign = rtc_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack::unmarshal(&mut &written[..]);
    if !lost.is_empty() {
        let foreign = foreign.expect("another implementation reads it");
        let theirs: BTreeSet<u16> = foreign.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        assert_eq!(theirs, again);
    }
}

fn check_remb(written: &[u8], bps: u64) {
    let [Message::Bitrate { bps: again }] = all(written)[..] else { panic!("one bitrate") };
    // 18 bits of it are told.
    assert!(again <= bps && bps - again <= bps >> 17, "{bps} became {again}");
}

/// Arrivals (moments since the one before, numbers) are told as they were, in feedback that others read.
fn arrivals(bytes: &[u8]) {
    let start = Instant::now();
    let mut now = start;
    let mut feedback = Feedback::new(3, start);
    for step in bytes.chunks_exact(3) {
        let unit = if step[0] & 0x40 != 0 { 100_000 } else { 130 };
        now += Duration::from_micros(unit * u64::from(step[0] & 0x3f));
        feedback.arrived(now, &step[1..]);
        if step[0] & 0x80 != 0 {
            tell(&mut feedback, now);
        }
    }
    tell(&mut feedback, now + Duration::from_secs(1));
}

fn tell(feedback: &mut Feedback, now: Instant) {
    let mut out = Vec::new();
    if !feedback.write(now, 1, 2, &mut out) {
        assert!(out.is_empty());
        return;
    }
    assert!(out.len() <= 24 + 2 * 1025 + 2 * 512, "{} bytes", out.len());
    let packet = TransportLayerCc::unmarshal(&mut &out[..]).expect("another implementation reads it");
    let mut symbols = 0;
    for chunk in &packet.packet_chunks {
        symbols += match chunk {
            PacketStatusChunk::RunLengthChunk(run) => usize::from(run.run_length),
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.len(),
        };
    }
    assert!(symbols >= usize::from(packet.packet_status_count) && packet.packet_status_count <= 1025);
    let told = all(&out);
    let [Message::TransportFeedback { received, lost }] = told[..] else { panic!("{told:?}") };
    assert_eq!(received as usize, packet.recv_deltas.len());
    assert_eq!(received + lost, u32::from(packet.packet_status_count));
}
