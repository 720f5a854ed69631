//! What a machine says of itself: device tree, `/proc`, and the files that systems leave in `/etc`. [`Facts::read`]
//! looks, everything else understands text.
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// None of the files looked at is longer; a longer one is cut.
const MAX_TEXT: u64 = 64 * 1024;
/// Cameras that are named; boards have one or two, each with some nodes.
const MAX_CAMERAS: usize = 16;

/// Who starts services here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    Systemd,
    /// OpenWrt's.
    Procd,
    /// BusyBox or System V: numbered scripts in `/etc/init.d`.
    Scripts,
    #[default]
    Unknown,
}

impl Init {
    pub fn name(self) -> &'static str {
        match self {
            Init::Systemd => "systemd",
            Init::Procd => "procd",
            Init::Scripts => "scripts in /etc/init.d",
            Init::Unknown => "unknown",
        }
    }
}

/// What is known of a machine; text is empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `Raspberry Pi 3 Model B Rev 1.2`, from the device tree.
    pub model: String,
    /// `raspberrypi,3-model-b`, `brcm,bcm2837`: the most particular first.
    pub compatible: Vec<String>,
    /// As the kernel names it: `aarch64`, `armv7l`, `armv6l`, `x86_64`.
    pub machine: String,
    pub kernel: String,
    /// The processor's name, or `implementer/part` of an ARM one.
    pub processor: String,
    pub cores: usize,
    /// RAM that Linux has, in MiB.
    pub memory: Option<u64>,
    pub init: Init,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub system: String,
    /// `ID` of `/etc/os-release`.
    pub system_id: String,
    /// The file system that is mounted on `/`, and its writable layer's, where there is one.
    pub root: Vec<String>,
    /// Creality's data partition is there.
    pub udisk: bool,
    /// `/dev/video…`.
    pub cameras: Vec<String>,
}

impl Facts {
    /// Of the machine whose files lie under `root`, `/` for this one.
    pub fn read(root: &Path) -> Self {
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        let text = |path: &str| read_text(&at(path));
        let release = text("/etc/os-release");
        let (processor, cores) = processor(&text("/proc/cpuinfo"));
        Self {
            model: strings(&text("/proc/device-tree/model")).into_iter().next().unwrap_or_default(),
            compatible: strings(&text("/proc/device-tree/compatible")),
            machine: nix::sys::utsname::uname().map(|u| lossy(u.machine())).unwrap_or_default(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor,
            cores,
            memory: memory(&text("/proc/meminfo")),
            init: init(text("/proc/1/comm").trim(), |path| at(path).exists()),
            system: value(&release, "PRETTY_NAME"),
            system_id: value(&release, "ID"),
            root: root_types(&text("/proc/mounts")),
            udisk: at("/mnt/UDISK").is_dir(),
            cameras: cameras(&at("/dev")),
        }
    }
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn read_text(path: &PathBuf) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        // What could be read counts.
        let _ = file.take(MAX_TEXT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A device tree's list of strings, each with a zero behind it.
fn strings(property: &str) -> Vec<String> {
    property.split('\0').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// Name and number of processors in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> (String, usize) {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor") && line.contains(':')).count();
    let part = || {
        let (implementer, part) = (field("CPU implementer")?, field("CPU part")?);
        let known = match (implementer.as_str(), part.as_str()) {
            ("0x41", "0xb76") => "ARM1176",
            ("0x41", "0xc05") => "Cortex-A5",
            ("0x41", "0xc07") => "Cortex-A7",
            ("0x41", "0xc08") => "Cortex-A8",
            ("0x41", "0xc09") => "Cortex-A9",
            ("0x41", "0xd03") => "Cortex-A53",
            ("0x41", "0xd04") => "Cortex-A35",
            ("0x41", "0xd05") => "Cortex-A55",
            ("0x41", "0xd08") => "Cortex-A72",
            ("0x41", "0xd0b") => "Cortex-A76",
            _ => return Some(format!("implementer {implementer} part {part}")),
        };
        Some(known.to_owned())
    };
    (part().or_else(|| field("model name")).or_else(|| field("Processor")).unwrap_or_default(), cores)
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}

/// `first`: the name of process 1.
fn init(first: &str, exists: impl Fn(&str) -> bool) -> Init {
    match first {
        "systemd" => Init::Systemd,
        "procd" => Init::Procd,
        _ if exists("/run/systemd/system") => Init::Systemd,
        _ if exists("/sbin/procd") => Init::Procd,
        _ if exists("/etc/init.d/rcS") || exists("/etc/inittab") => Init::Scripts,
        _ => Init::Unknown,
    }
}

/// A key of `/etc/os-release`, without its quotes.
fn value(release: &str, key: &str) -> String {
    let of_key = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(|v| v.trim_matches(['"', '\'']).to_owned());
    release.lines().find_map(of_key).unwrap_or_default()
}

/// Types of what is mounted at `/`, `/overlay` and `/rom`.
fn root_types(mounts: &str) -> Vec<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (place, kind) = (words.next()?, words.next()?);
            matches!(place, "/" | "/overlay" | "/rom").then(|| kind.to_owned())
        })
        .collect()
}

fn cameras(dev: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dev) else { return vec![] };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_camera(name)).map(|name| format!("/dev/{name}")).collect();
    names.sort();
    names.truncate(MAX_CAMERAS);
    names
}

fn is_camera(name: &str) -> bool {
    name.strip_prefix("video").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_processor_is_named_by_its_part() {
        let text = "processor\t: 0\nBogoMIPS\t: 38.40\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nprocessor\t: 1\n\
                    CPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nModel\t\t: Raspberry Pi 3\n";
        assert_eq!(processor(text), ("Cortex-A53".into(), 2));
        assert_eq!(processor("CPU implementer : 0x99\nCPU part: 0x1\n").0, "implementer 0x99 part 0x1");
        assert_eq!(processor("processor : 0\nmodel name : Some x86\n"), ("Some x86".into(), 1));
        assert_eq!(processor(""), (String::new(), 0));
    }

    #[test]
    fn files_of_a_small_system_are_understood() {
        assert_eq!(strings("raspberrypi,3-model-b\0brcm,bcm2837\0"), ["raspberrypi,3-model-b", "brcm,bcm2837"]);
        assert_eq!(memory("MemTotal:         437412 kB\nMemFree: 1 kB\n"), Some(427));
        assert_eq!(memory("MemTotal: much\n"), None);
        let release = "NAME=\"OpenWrt\"\nID=\"openwrt\"\nPRETTY_NAME=\"OpenWrt 21.02\"\n";
        assert_eq!((value(release, "ID"), value(release, "PRETTY_NAME")), ("openwrt".into(), "OpenWrt 21.02".into()));
        assert_eq!(value(release, "VERSION"), "");
        let mounts = "/dev/root /rom squashfs ro 0 0\nproc /proc proc rw 0 0\n/dev/mtdblock4 /overlay jffs2 rw 0 0\n";
        assert_eq!(root_types(mounts), ["squashfs", "jffs2"]);
        assert!(is_camera("video0") && !is_camera("video") && !is_camera("videox"));
    }

    #[test]
    fn the_init_is_known_by_the_first_process_and_else_by_its_files() {
        let none = |_: &str| false;
        assert_eq!(init("systemd", none), Init::Systemd);
        assert_eq!(init("procd", none), Init::Procd);
        assert_eq!(init("init", |path| path == "/etc/inittab"), Init::Scripts);
        assert_eq!(init("sh", none), Init::Unknown);
    }
}
