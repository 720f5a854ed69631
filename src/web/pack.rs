//! Cargo's build script: packs the pages' scripts, style and icon by gzip, as they lie in the binary. A board's flash
//! memory and its network both gain by it. HTML stays as it is, because servers are written into its head.
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
        packed.write_all(&fs::read(&path)?)?;
        fs::write(Path::new(&out).join(format!("{name}.gz")), packed.finish()?)?;
    }
    Ok(())
}
