//! Answers of a server that are spoiled, or that nobody asked for.
use super::*;
use crate::fuzz::{Random, rounds};

/// Messages that one answer may lead to: a permission and a channel for each peer.
const MAX_SENT: usize = 4;

fn odd_answer(world: &World, request: &[u8], random: &mut Random) -> Vec<u8> {
    let asked = Message::read(request).unwrap();
    let kind = match random.below(4) {
        0 => kind::DATA_INDICATION,
        1 => asked.kind | kind::FAILURE,
        _ => asked.kind | kind::SUCCESS,
    };
    let mut writer = Writer::new(kind, &asked.transaction);
    for _ in 0..random.below(6) {
        writer = match random.below(8) {
            0 => writer.with(attribute::REALM, &random.bytes(40)),
            1 => writer.with(attribute::NONCE, &random.bytes(200)),
            2 => writer.with(attribute::LIFETIME, &random.bytes(8)),
            3 => writer.with_address(attribute::XOR_RELAYED_ADDRESS, at(RELAYED)),
            4 => writer.with_address(attribute::XOR_PEER_ADDRESS, at(PEER)),
            5 => writer.with(attribute::DATA, &random.bytes(40)),
            6 => writer.with(attribute::ERROR_CODE, &[0, 0, 4, [0, 1, 37, 38, 41, 86][random.below(6)], b'?']),
            _ => writer.with(attribute::ALTERNATE_SERVER, &random.bytes(12)),
        };
    }
    let signed = random.one_in(2);
    if signed { writer.signed(&world.digest, &world.key("pass")).unwrap() } else { writer.finish() }
}

#[test]
fn spoiled_and_odd_answers_end_an_allocation_at_most_and_lead_to_few_messages() {
    for seed in rounds(300) {
        let mut random = Random::new(seed);
        let mut world = World::new();
        let mut request = if random.one_in(2) { world.challenge("n1") } else { world.request() };
        world.allocation.permit(world.now, at(PEER).ip());
        for _ in 0..30 {
            let mut answer = odd_answer(&world, &request, &mut random);
            if random.one_in(2) {
                random.spoil(&mut answer);
            }
            if random.one_in(8) {
                answer = [&[0x40, random.below(256) as u8, 0, 4], &answer[..]].concat();
            }
            world.allocation.handle(world.now, &answer);
            let sent = world.sent();
            assert!(sent.len() <= MAX_SENT, "round {seed}");
            let time = Duration::from_millis(random.below(2000) as u64);
            let later = world.pass(time);
            assert!(later.len() <= 2 * MAX_SENT, "round {seed}: {}", later.len());
            request = later.into_iter().chain(sent).last().unwrap_or(request);
        }
    }
    World::new().allocate();
}
