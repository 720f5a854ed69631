//! Cargo's build script: packs the pages' scripts, style and icon by gzip, as they lie in the binary. A board's flash
//! memory and its network both gain by it. Lines of scripts that are a comment and nothing else are left out. HTML stays
//! as it is, because servers are written into its head.
#![expect(clippy::print_stdout, reason = "so a build script speaks to cargo")]
use flate2::{Compression, GzBuilder};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::{env, fs};

const PAGES: &str = "src/web";
const PACKED: [&str; 3] = ["css", "js", "svg"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PAGES}");
    let out = env::var("OUT_DIR")?;
    for entry in fs::read_dir(PAGES)? {
        let path = entry?.path();
        if !path.extension().is_some_and(|extension| PACKED.iter().any(|packed| extension == *packed)) {
            continue;
        }
        let name = path.file_name().ok_or("a file of the pages has no name")?.to_string_lossy();
        // no time and no name in the header: the same pages give the same bytes
        let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
        let text = fs::read_to_string(&path)?;
        let is_script = path.extension().is_some_and(|extension| extension == "js");
        for line in text.split_inclusive('\n').filter(|line| !(is_script && is_comment(line))) {
            packed.write_all(line.as_bytes())?;
        }
        fs::write(Path::new(&out).join(format!("{name}.gz")), packed.finish()?)?;
    }
    Ok(())
}

fn is_comment(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("//") || line.starts_with("/**") && line.ends_with("*/")
}
