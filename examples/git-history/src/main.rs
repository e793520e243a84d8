//! stub
use git_history::git::*;
fn main() -> anyhow::Result<()> {
    let t = std::time::Instant::now();
    let r = Repository::open(std::env::args().nth(1).unwrap().as_ref())?;
    let m = r.mainline()?;
    println!("{} {:?} {:?}", m.len(), m.root(), t.elapsed());
    let t = std::time::Instant::now();
    let mut n = 0;
    let mut bytes = 0;
    for c in Commits::new(&r, &m) {
        let c = c?;
        n += c.changes.len();
        bytes += c
            .changes
            .iter()
            .map(|c| c.path.as_bytes().len())
            .sum::<usize>();
    }
    println!("{n} changes {bytes} {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let s = TreeSource::walk(&r)?;
    let mut n = 0;
    for l in m.links().iter().rev().take(2000) {
        n += s.listing(l.id)?.len();
    }
    println!("{n} walked {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let s = TreeSource::choose(&r)?;
    let mut n = 0;
    for l in m.links().iter().rev().take(500) {
        n += s.listing(l.id)?.len();
    }
    println!("{n} {} {:?}", s.name(), t.elapsed());
    Ok(())
}
