//! Which of the profiles under `board/` fits a machine: a pure function over its facts.
use super::facts::Facts;
use std::fmt::Write as _;

/// A profile of `board/NAME/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Name of its folder.
    pub name: &'static str,
    pub title: &'static str,
    /// Target that its binary is built for.
    pub target: &'static str,
}

const ARM64: &str = "aarch64-unknown-linux-musl";
const ARM7: &str = "armv7-unknown-linux-musleabihf";
const ARM6: &str = "arm-unknown-linux-musleabihf";
const AMD64: &str = "x86_64-unknown-linux-musl";

const fn profile(name: &'static str, title: &'static str, target: &'static str) -> Profile {
    Profile { name, title, target }
}

const RPI_ZERO: Profile = profile("rpi-zero", "Raspberry Pi Zero, Zero W and 1", ARM6);
const RPI_2: Profile = profile("rpi-2", "Raspberry Pi 2, and later ones with a 32-bit system", ARM7);
const RPI_ZERO2W: Profile = profile("rpi-zero2w", "Raspberry Pi Zero 2 W", ARM64);
const RPI_3: Profile = profile("rpi-3", "Raspberry Pi 3", ARM64);
const RPI_4: Profile = profile("rpi-4", "Raspberry Pi 4", ARM64);
const RPI_5: Profile = profile("rpi-5", "Raspberry Pi 5", ARM64);
const OPENIPC_16M: Profile = profile("openipc-16m", "OpenIPC camera with 16 MB of flash, Cortex-A7", ARM7);
const CREALITY_K2: Profile = profile("creality-k2", "Creality K2, K2 Plus, K2 Pro and K2 Max", ARM7);
const GENERIC_X86_64: Profile = profile("generic-x86_64", "any 64-bit PC", AMD64);

const QEMU_ARM64: Profile = profile("qemu-arm64", "QEMU's virt machine, 64 bits", ARM64);
const QEMU_ARMV7: Profile = profile("qemu-armv7", "QEMU's virt machine, 32 bits", ARM7);

/// All of them, one for each folder under `board/`.
pub const PROFILES: [Profile; 11] = [
    RPI_ZERO,
    RPI_2,
    RPI_ZERO2W,
    RPI_3,
    RPI_4,
    RPI_5,
    OPENIPC_16M,
    CREALITY_K2,
    GENERIC_X86_64,
    QEMU_ARM64,
    QEMU_ARMV7,
];

/// Beginnings of what Raspberry Pi boards say in their device trees, the longer before the shorter.
const RASPBERRY_PI: [(&str, Profile); 15] = [
    ("raspberrypi,model-zero-2", RPI_ZERO2W),
    ("raspberrypi,model-zero", RPI_ZERO),
    ("raspberrypi,model-a", RPI_ZERO),
    ("raspberrypi,model-b", RPI_ZERO),
    ("raspberrypi,compute-module", RPI_ZERO),
    ("raspberrypi,2-model", RPI_2),
    ("raspberrypi,3-model", RPI_3),
    ("raspberrypi,3-compute-module", RPI_3),
    ("raspberrypi,400", RPI_4),
    ("raspberrypi,4-model", RPI_4),
    ("raspberrypi,4-compute-module", RPI_4),
    ("raspberrypi,500", RPI_5),
    ("raspberrypi,5-model", RPI_5),
    ("raspberrypi,5-compute-module", RPI_5),
    // the processor alone, where a board's own name is new
    ("brcm,bcm2712", RPI_5),
];

/// The profile that fits, `None` if none does.
pub fn fitting(facts: &Facts) -> Option<&'static Profile> {
    let named = facts
        .compatible
        .iter()
        .find_map(|name| RASPBERRY_PI.iter().find(|(start, _)| name.starts_with(start)).map(|(_, profile)| profile));
    let found = match named {
        // the kernel decides what it runs, not the processor
        Some(profile) if profile.target == ARM64 && is_armv7(facts) => RPI_2,
        Some(profile) => *profile,
        None if facts.system_id == "openipc" && is_armv7(facts) => OPENIPC_16M,
        None if facts.udisk && is_armv7(facts) && is_k2(facts) => CREALITY_K2,
        None if is_qemu(facts) && is_armv7(facts) => QEMU_ARMV7,
        None if is_qemu(facts) && facts.machine == "aarch64" => QEMU_ARM64,
        None if facts.machine == "x86_64" => GENERIC_X86_64,
        None => return None,
    };
    PROFILES.iter().find(|profile| **profile == found)
}

fn is_armv7(facts: &Facts) -> bool {
    facts.machine.starts_with("armv7") || facts.machine.starts_with("armv8")
}

/// Allwinner's processor of the K2 series.
fn is_k2(facts: &Facts) -> bool {
    facts.compatible.iter().any(|name| name.contains("sun8iw20"))
}

/// A board that exists in QEMU only.
fn is_qemu(facts: &Facts) -> bool {
    facts.compatible.iter().any(|name| name == "linux,dummy-virt")
}

/// What `porthole board` prints.
pub fn report(facts: &Facts) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing into a string can't fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    line("model", &facts.model);
    let cores = match facts.cores {
        0 => String::new(),
        1 => ", one core".into(),
        n => format!(", {n} cores"),
    };
    let processor = if facts.processor.is_empty() { String::new() } else { format!(", {}", facts.processor) };
    line("processor", &format!("{}{processor}{cores}", facts.machine));
    line("memory", &facts.memory.map(|mib| format!("{mib} MiB")).unwrap_or_default());
    line("kernel", &facts.kernel);
    line("system", &facts.system);
    line("services", facts.init.name());
    line("root", &facts.root.join(", "));
    line("cameras", &facts.cameras.join(", "));
    match fitting(facts) {
        Some(profile) => line("profile", &format!("board/{} ({}, {})", profile.name, profile.title, profile.target)),
        None => line("profile", "none of this version fits"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn machine(compatible: &[&str], machine: &str) -> Facts {
        let compatible = compatible.iter().map(|name| (*name).to_owned()).collect();
        Facts { compatible, machine: machine.into(), ..Facts::default() }
    }

    fn name(facts: &Facts) -> Option<&'static str> {
        fitting(facts).map(|profile| profile.name)
    }

    #[test]
    fn every_raspberry_pi_finds_its_profile() {
        let cases = [
            ("raspberrypi,model-zero-w", "brcm,bcm2835", "rpi-zero"),
            ("raspberrypi,model-b-rev2", "brcm,bcm2835", "rpi-zero"),
            ("raspberrypi,model-b-plus", "brcm,bcm2835", "rpi-zero"),
            ("raspberrypi,model-zero-2-w", "brcm,bcm2837", "rpi-zero2w"),
            ("raspberrypi,3-model-b-plus", "brcm,bcm2837", "rpi-3"),
            ("raspberrypi,4-model-b", "brcm,bcm2711", "rpi-4"),
            ("raspberrypi,400", "brcm,bcm2711", "rpi-4"),
            ("raspberrypi,5-model-b", "brcm,bcm2712", "rpi-5"),
            ("raspberrypi,6-model-b", "brcm,bcm2712", "rpi-5"),
        ];
        for (board, processor, expected) in cases {
            assert_eq!(name(&machine(&[board, processor], "aarch64")), Some(expected), "{board}");
        }
    }

    #[test]
    fn a_raspberry_pi_with_a_32_bit_system_gets_a_32_bit_binary() {
        assert_eq!(name(&machine(&["raspberrypi,4-model-b", "brcm,bcm2711"], "armv7l")), Some("rpi-2"));
        assert_eq!(name(&machine(&["raspberrypi,2-model-b", "brcm,bcm2836"], "armv7l")), Some("rpi-2"));
        assert_eq!(name(&machine(&["raspberrypi,model-zero-w", "brcm,bcm2835"], "armv6l")), Some("rpi-zero"));
    }

    #[test]
    fn cameras_and_printers_are_told_from_their_system() {
        let openipc = Facts { system_id: "openipc".into(), ..machine(&["hisilicon,hi3516ev300"], "armv7l") };
        assert_eq!(name(&openipc), Some("openipc-16m"));
        assert_eq!(name(&Facts { machine: "armv5tejl".into(), ..openipc }), None, "no binary for this processor");
        let k2 = Facts { udisk: true, ..machine(&["allwinner,t113", "arm,sun8iw20p1"], "armv7l") };
        assert_eq!(name(&k2), Some("creality-k2"));
        assert_eq!(name(&Facts { udisk: false, ..k2 }), None);
    }

    #[test]
    fn the_emulators_board_has_a_profile_for_each_of_its_processors() {
        assert_eq!(name(&machine(&["linux,dummy-virt"], "aarch64")), Some("qemu-arm64"));
        assert_eq!(name(&machine(&["linux,dummy-virt"], "armv7l")), Some("qemu-armv7"));
        assert_eq!(name(&machine(&["linux,dummy-virt"], "armv6l")), None);
    }

    #[test]
    fn a_pc_has_a_profile_and_a_strange_board_has_none() {
        assert_eq!(name(&machine(&[], "x86_64")), Some("generic-x86_64"));
        assert_eq!(name(&machine(&["friendlyarm,nanopi"], "aarch64")), None);
        assert_eq!(name(&machine(&[], "mips")), None);
    }

    #[test]
    fn every_folder_of_the_boards_is_a_profile_and_every_profile_has_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("board");
        let folders = std::fs::read_dir(&root).unwrap().flatten().filter(|entry| entry.path().is_dir());
        let folders: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let names: BTreeSet<String> = PROFILES.iter().map(|profile| profile.name.to_owned()).collect();
        assert_eq!(folders, names);
        for profile in PROFILES {
            let text = std::fs::read_to_string(root.join(profile.name).join("board.yaml")).unwrap();
            let read: std::collections::BTreeMap<String, serde_yaml::Value> = serde_yaml::from_str(&text).unwrap();
            assert_eq!(read["target"], profile.target, "{}", profile.name);
            assert_eq!(read["title"], profile.title, "{}", profile.name);
        }
    }

    #[test]
    fn the_report_leaves_out_what_the_machine_does_not_say() {
        let facts = Facts { cores: 1, memory: Some(427), ..machine(&["raspberrypi,model-zero"], "armv6l") };
        let expected = "processor  armv6l, one core\nmemory     427 MiB\nservices   unknown\n\
                        profile    board/rpi-zero (Raspberry Pi Zero, Zero W and 1, arm-unknown-linux-musleabihf)\n";
        assert_eq!(report(&facts), expected);
    }
}
