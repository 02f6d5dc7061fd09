//! A newer Debian than the system's, in a folder of its own below `.peers/` that programs are
//! started in: for what no package of the systems this runs on has.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::{Outcome, capture, command, peers, run as run_command},
    tools,
};

/// The first with Swift 6, Elixir 1.18 and Ruby 3.3.
const SUITE: &str = "trixie";
/// Starts a program in the folder `$1`. Pairs follow, a folder of ours and where it is there, up
/// to `--`; they are mounted in a namespace that ends with the program, so that nothing stays
/// mounted. The rest is the folder there to start in, variables, and the program.
const ENTER: &str = r#"
set -e
folder=$1
shift
mount -t proc proc "$folder/proc"
mount --rbind /dev "$folder/dev"
while [ "$1" != -- ]; do
  mkdir -p "$folder$2"
  mount --bind "$1" "$folder$2"
  shift 2
done
place=$2
shift 2
exec chroot "$folder" /usr/bin/env -i --chdir="$place" PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
"#;

/// An installed one.
#[derive(Debug, Clone)]
pub(crate) struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// The one with this name, installed with these packages unless it works already.
    /// Errors: it cannot be installed, or does not work even then.
    pub(crate) fn installed(name: &str, packages: &str, works: impl Fn(&Self) -> Outcome<()>) -> Outcome<Self> {
        let debian = Self { folder: peers().join(name) };
        let folder = &debian.folder;
        if folder.exists() && works(&debian).is_ok() {
            return Ok(debian);
        }
        println!("installing {packages} into {}", folder.display());
        // What is left of an installation that did not end.
        let _ = fs::remove_dir_all(folder);
        tools::debootstrap()?;
        let mut install = command("debootstrap");
        install.args(["--variant=minbase", &format!("--include={packages}"), SUITE]).arg(folder);
        if let Some(mirror) = mirror() {
            install.arg(mirror);
        }
        run_command(&mut install).map_err(|failure| {
            format!("{failure}; this needs Debian or Ubuntu, and root, or the programs themselves")
        })?;
        // Up to 1 GB of packages that are installed by now.
        let _ = fs::remove_dir_all(folder.join("var/cache/apt/archives"));
        works(&debian).map_err(|failure| format!("what was installed into {}: {failure}", folder.display()))?;
        Ok(debian)
    }

    /// Whether the version that a program there prints is this one or a later one.
    pub(crate) fn has(&self, program: &str, prints_version: &[&str], wanted: (u32, u32)) -> Outcome<()> {
        let version = capture(self.start(&[], "/", [], program).args(prints_version))?;
        let mut numbers = version.split('.').filter_map(|number| number.parse().ok());
        if numbers.next().zip(numbers.next()).is_some_and(|found| found >= wanted) {
            return Ok(());
        }
        Err(format!("its {program} is {version}").into())
    }

    /// A path inside as we see it.
    pub(crate) fn outside(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// A program that runs inside, starts in `place`, and sees folders of ours; with no variables but these.
    pub(crate) fn start(
        &self,
        mounted: &[(&Path, &str)],
        place: &str,
        variables: impl IntoIterator<Item = OsString>,
        program: impl AsRef<Path>,
    ) -> Command {
        let mut start = command("unshare");
        start.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(&self.folder);
        for (folder, there) in mounted {
            start.arg(folder).arg(there);
        }
        start.args(["--", place]).args(variables).arg(program.as_ref());
        start
    }
}

/// Where this machine gets its Debian packages from; absent: where debootstrap would.
pub(crate) fn mirror() -> Option<String> {
    let targets = capture(command("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(LABEL) $(REPO_URI)",
        "Created-By: Packages",
    ]));
    let targets = targets.ok()?;
    targets.lines().find_map(|line| line.strip_prefix("Debian Debian ")).map(str::to_owned)
}
