//! Embeds the pages about findings, `docs/lint`, for `spanwire rule lint --explain`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = env::var_os("CARGO_MANIFEST_DIR");
    let here = here.ok_or_else(|| io::Error::other("cargo names CARGO_MANIFEST_DIR"))?;
    let folder = Path::new(&here).join("../docs/lint");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut pages = "&[\n".to_owned();
    for file in files {
        let file = file.canonicalize()?;
        let code = file.file_stem().unwrap_or_default().to_string_lossy();
        pages += &format!("    ({code:?}, include_str!({file:?})),\n");
    }
    pages += "]\n";
    let made = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names OUT_DIR"))?;
    fs::write(Path::new(&made).join("lint_pages.rs"), pages)
}
