//! libFuzzer with all of Porthole's targets in one program: PORTHOLE_FUZZ_TARGET names the one to run, and what else it
//! takes are libFuzzer's arguments. With PORTHOLE_FUZZ_SEEDS it writes the target's seeds into that folder instead, and
//! without a target it lists all of them with the length of their longest input.
#![no_main]

use cap::Cap;
use libfuzzer_sys::fuzz_target;
use porthole::fuzz::{Target, targets};
use std::alloc::System;
use std::process::exit;
use std::sync::OnceLock;

/// Memory that one input may take: a hundred times the longest one.
const MEMORY: usize = 16 << 20;

#[global_allocator]
static MEMORY_LEFT: Cap<System> = Cap::new(System, usize::MAX);

static TARGET: OnceLock<&Target> = OnceLock::new();

/// A bug behind three comparisons, one of them of text: a fuzzer that is not guided does not find it.
#[cfg(feature = "planted")]
const PLANTED: Target = Target {
    name: "planted",
    max: 4096,
    run: |bytes| {
        if let Some((&[0xde, 0xad, 0xbe, 0xef], text)) = bytes.split_first_chunk::<4>()
            && let Some(value) = str::from_utf8(text).ok().and_then(|text| text.strip_prefix("a=ice-ufrag:"))
        {
            assert!(value.trim() != "porthole", "the planted bug");
        }
    },
    seeds: || vec![b"seed".to_vec()],
};

fn target() -> &'static Target {
    #[cfg(feature = "planted")]
    return &PLANTED;
    #[cfg(not(feature = "planted"))]
    {
        let name = std::env::var("PORTHOLE_FUZZ_TARGET").unwrap_or_default();
        targets().find(|target| target.name == name).unwrap_or_else(|| {
            targets().for_each(|target| println!("{} {}", target.name, target.max));
            exit(i32::from(!name.is_empty()))
        })
    }
}

fuzz_target!(
    init: {
        let target = TARGET.get_or_init(target);
        // To tell where it happened takes more.
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            MEMORY_LEFT.set_limit(usize::MAX).expect("no limit is no less than what is in use");
            tell(panic);
        }));
        if let Ok(folder) = std::env::var("PORTHOLE_FUZZ_SEEDS") {
            for (number, seed) in (target.seeds)().iter().enumerate() {
                std::fs::write(format!("{folder}/seed{number}"), seed).expect("the folder can be written");
            }
            exit(0);
        }
    },
    |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            MEMORY_LEFT.set_limit(MEMORY_LEFT.allocated() + MEMORY).expect("less than the limit is in use");
            (target.run)(bytes);
        }
    }
);
