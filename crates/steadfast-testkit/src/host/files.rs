//! Files of the machine in memory.

use super::{FakeHost, World, refuse};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use steadfast_system::files::{
    Attributes, Bar, Content, Digest, Entry, Expected, Folder, Look, Marks, Mode, Mounts, NewFile,
    OwnFolder, Read, Secrecy, Shape, Sieve, Staged, Tree, TreeEntry, Wanted, Write,
};
use steadfast_system::{AbsPath, ErrorKind, SystemError};

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    pub matter: Matter,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    pub links: u64,
    pub changed: i64,
    pub mounted: bool,
    /// An access list, and of a directory that which it hands on.
    pub list: bool,
    pub capabilities: bool,
    /// Why not even root can change it.
    pub bar: Option<Bar>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Matter {
    File(Arc<[u8]>),
    Directory,
    Link(Arc<str>),
    Socket,
    Fifo,
    Device,
}

impl Thing {
    /// Root's, with mode 0644.
    pub fn of(matter: Matter) -> Thing {
        Thing {
            matter,
            uid: 0,
            gid: 0,
            mode: 0o644,
            links: 1,
            changed: 0,
            mounted: false,
            list: false,
            capabilities: false,
            bar: None,
        }
    }

    pub fn file(content: &str) -> Thing {
        Thing::of(Matter::File(content.as_bytes().into()))
    }

    /// The content of a regular file, as text.
    pub fn text(&self) -> Option<&str> {
        match &self.matter {
            Matter::File(bytes) => std::str::from_utf8(bytes).ok(),
            Matter::Directory
            | Matter::Link(_)
            | Matter::Socket
            | Matter::Fifo
            | Matter::Device => None,
        }
    }

    fn entry(&self, wanted: Wanted, open: bool) -> Entry {
        let shape = match &self.matter {
            Matter::File(bytes) => {
                let size = bytes.len() as u64;
                let limit = if open { 1 << 20 } else { 16 << 20 };
                let content = match wanted {
                    Wanted::Nothing => Content::NotRead,
                    Wanted::DigestIfSize(expected) if expected != size => Content::NotRead,
                    Wanted::Digest if size > limit => Content::TooLarge,
                    Wanted::DigestOfOurs if open && size > limit => Content::TooLarge,
                    Wanted::DigestIfSize(_) | Wanted::Digest | Wanted::DigestOfOurs => {
                        Content::Digest(digest(bytes))
                    }
                    Wanted::Bytes if size > limit => Content::TooLarge,
                    Wanted::Bytes => Content::Bytes(Arc::clone(bytes)),
                };
                Shape::File { size, content }
            }
            Matter::Directory => Shape::Directory,
            Matter::Link(target) => Shape::Link { target: Arc::clone(target) },
            Matter::Socket => Shape::Socket,
            Matter::Fifo => Shape::Fifo,
            Matter::Device => Shape::Device,
        };
        Entry {
            shape,
            uid: self.uid,
            gid: self.gid,
            mode: Mode(self.mode),
            links: self.links,
            changed: self.changed,
            mounted: self.mounted,
            marks: Marks {
                secret: Secrecy::Plain,
                access_list: self.list && (open || self.uid != 0),
                capabilities: self.capabilities,
                bar: self.bar,
            },
        }
    }
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

fn moved<T>(path: &AbsPath, why: &str) -> Result<T, SystemError> {
    refuse(ErrorKind::Moved, format!("{path}: {why}"))
}

impl World {
    /// What is at a path, as it is seen.
    fn seen(&self, path: &AbsPath, thing: &Thing, wanted: Wanted, open: bool) -> Entry {
        let mut entry = thing.entry(wanted, open);
        entry.marks.secret = self.secrecy(path);
        entry
    }

    fn secrecy(&self, path: &AbsPath) -> Secrecy {
        match self.secret_paths.get(path) {
            Some(keep) => Secrecy::Secret { keep: *keep },
            None => Secrecy::Plain,
        }
    }

    /// Puts something at a path, whatever is there.
    pub fn put(&mut self, path: &AbsPath, mut thing: Thing) {
        thing.changed = self.clock;
        self.files.insert(path.clone(), thing);
    }

    /// Takes something away with all below it.
    pub fn take(&mut self, path: &AbsPath) {
        self.files.retain(|it, _| !it.is_within(path));
    }

    pub fn thing(&self, path: &str) -> Option<&Thing> {
        self.files.get(&AbsPath::parse(path).unwrap())
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.thing(path).and_then(Thing::text)
    }

    /// The directory that a path lies in, where its things are kept; none where it is not there.
    pub(super) fn folder(&self, path: &AbsPath) -> Result<Option<(AbsPath, Folder)>, SystemError> {
        Ok(self.walk(path)?.map(|it| (self.shown_by(it.0), it.1)))
    }

    /// Where the things are kept that a path without links shows.
    pub(super) fn shown_by(&self, path: AbsPath) -> AbsPath {
        let binds = self.binds.iter().filter(|(at, _)| path.is_within(at));
        match binds.max_by_key(|(at, _)| at.as_str().len()) {
            None => path,
            Some((at, shows)) => match path.as_str()[at.as_str().len()..].trim_start_matches('/') {
                "" => shows.clone(),
                below => shows.found(below),
            },
        }
    }

    /// The directory that a path lies in, without links in it; none where it is not there.
    fn walk(&self, path: &AbsPath) -> Result<Option<(AbsPath, Folder)>, SystemError> {
        let root = AbsPath::parse("/").unwrap();
        let parent = path.parent().unwrap_or_else(|| root.clone());
        let split = |it: &str| it.split('/').rev().map(str::to_owned).collect::<Vec<String>>();
        let mut rest = split(parent.as_str());
        let (mut here, mut open, mut links) = (root.clone(), false, 0);
        let is_open = |thing: &Thing| {
            thing.uid != 0 || thing.mode & 0o002 != 0 || (thing.mode & 0o020 != 0 && thing.gid != 0)
        };
        open |= self.files.get(&root).is_some_and(is_open);
        while let Some(part) = rest.pop() {
            if part.is_empty() || part == "." {
                continue;
            }
            if part == ".." {
                here = here.parent().unwrap_or_else(|| root.clone());
                continue;
            }
            let next = here.found(&part);
            let Some(thing) = self.files.get(&self.shown_by(next.clone())) else { return Ok(None) };
            match &thing.matter {
                Matter::Directory => {
                    open |= is_open(thing);
                    here = next;
                }
                Matter::Link(_) if open => {
                    let why = format!("{next} is a link in a directory that others can write");
                    return refuse(ErrorKind::Swappable, why);
                }
                Matter::Link(target) => {
                    links += 1;
                    if links > 40 {
                        return refuse(ErrorKind::Other, format!("{next} leads in a circle"));
                    }
                    if target.starts_with('/') {
                        here = root.clone();
                    }
                    rest.extend(split(target));
                }
                Matter::File(_) | Matter::Socket | Matter::Fifo | Matter::Device => {
                    return Ok(None);
                }
            }
        }
        let thing = self.files.get(&self.shown_by(here.clone())).unwrap();
        let mode = Mode(thing.mode);
        Ok(Some((here, Folder { uid: thing.uid, gid: thing.gid, mode, open, bar: thing.bar })))
    }

    /// Where a path leads, its last part not followed.
    pub(super) fn real(&self, path: &AbsPath) -> Result<Option<(AbsPath, Folder)>, SystemError> {
        let Some((folder, facts)) = self.folder(path)? else { return Ok(None) };
        if path.as_str() == "/" {
            return Ok(Some((folder, facts)));
        }
        Ok(Some((folder.found(path.file_name()), facts)))
    }

    fn real_to_write(&self, path: &AbsPath) -> Result<(AbsPath, Folder), SystemError> {
        self.real(path)?.ok_or_else(|| {
            let parent = path.parent().unwrap_or_else(|| path.clone());
            SystemError::new(ErrorKind::Other, "No such file or directory")
                .during(format!("open the directory {parent}"))
        })
    }

    /// What is barred is not changed; `itself` where its name stays as it is.
    fn is_free(&self, real: &AbsPath, itself: bool) -> Result<(), SystemError> {
        let parent = real.parent().filter(|_| !itself);
        let names = self.files.iter().filter(|(it, _)| {
            *it == real || parent.as_ref() == Some(it) || !itself && it.is_within(real)
        });
        match names.filter_map(|(it, thing)| Some((it, thing.bar?))).next() {
            Some((it, bar)) => {
                refuse(ErrorKind::PermissionDenied, format!("{} {}", it.file_name(), bar.words()))
            }
            None => Ok(()),
        }
    }

    /// Takes away what is at a path and below it, without what is barred.
    fn take_free(&mut self, path: &AbsPath) {
        let is_barred = |it: &AbsPath| self.files.get(it).is_some_and(|it| it.bar.is_some());
        let is_stuck = |it: &AbsPath| is_barred(it) || it.parent().is_some_and(|it| is_barred(&it));
        let within = self.files.keys().filter(|it| it.is_within(path));
        let stuck: Vec<AbsPath> = within.filter(|it| is_stuck(it)).cloned().collect();
        self.files
            .retain(|it, _| !it.is_within(path) || stuck.iter().any(|stuck| stuck.is_within(it)));
    }

    /// Whether what is there is what was seen.
    fn verify(&self, path: &AbsPath, seen: &Expected) -> Result<(), SystemError> {
        let Some(thing) = self.files.get(path) else {
            return if *seen == Expected::Nothing {
                Ok(())
            } else {
                moved(path, "nothing is there any more")
            };
        };
        let same = match (seen, &thing.matter) {
            (Expected::Nothing, _) => return moved(path, "something is there now"),
            (Expected::File { digest: seen }, Matter::File(bytes)) => *seen == digest(bytes),
            (Expected::AnyFile, Matter::File(_)) | (Expected::Directory, Matter::Directory) => true,
            (Expected::Link { target }, Matter::Link(there)) => target == there,
            (Expected::Other, Matter::Socket | Matter::Fifo | Matter::Device) => true,
            (_, _) => false,
        };
        if same { Ok(()) } else { moved(path, "it is something else now") }
    }

    fn below(&self, path: &AbsPath) -> impl Iterator<Item = (&AbsPath, &Thing)> {
        self.files.iter().filter(move |(it, _)| *it != path && it.is_within(path))
    }

    /// Keeps and takes away what is to give way.
    fn clear(&mut self, path: &AbsPath, keep: bool) -> Result<(), SystemError> {
        self.keep(path, keep)?;
        self.take(path);
        Ok(())
    }

    /// Keeps what is to give way, where that is said; whether it may is looked at in any case.
    fn keep(&mut self, path: &AbsPath, keep: bool) -> Result<(), SystemError> {
        if let Some((mount, _)) = self.below(path).find(|(_, it)| it.mounted) {
            return refuse(ErrorKind::Other, format!("something is mounted at {mount}"));
        }
        if keep {
            let contents: Vec<Arc<[u8]>> = self
                .files
                .iter()
                .filter(|(it, _)| it.is_within(path) && self.secrecy(it).may_be_kept())
                .filter_map(|(_, it)| match &it.matter {
                    Matter::File(bytes) => Some(Arc::clone(bytes)),
                    Matter::Directory
                    | Matter::Link(_)
                    | Matter::Socket
                    | Matter::Fifo
                    | Matter::Device => None,
                })
                .collect();
            for bytes in contents {
                self.kept.insert(digest(&bytes), bytes.to_vec());
            }
        }
        Ok(())
    }

    /// Whether a file may be put where it is to be, and is what a validator lets pass. What it replaces
    /// is kept.
    fn stage(&mut self, file: &NewFile) -> Result<(), SystemError> {
        let (real, _) = self.real_to_write(&file.path)?;
        self.verify(&real, &file.replaces)?;
        let mounted = self.files.get(&real).is_some_and(|it| it.mounted);
        if file.in_place != mounted {
            return moved(&file.path, "what is mounted there is another matter now");
        }
        if let Some(validation) = &file.validate {
            let program = validation.arguments.first().map_or("", |it| &**it);
            let broken = file.content.windows(6).any(|it| it == b"broken");
            if broken || program.ends_with("/false") {
                return refuse(ErrorKind::Invalid, format!("{program} says no"));
            }
        }
        self.keep(&real, file.keep)
    }

    /// Puts it there.
    fn place(&mut self, file: &NewFile) -> Result<(), SystemError> {
        let (real, _) = self.real_to_write(&file.path)?;
        self.verify(&real, &file.replaces)?;
        self.is_free(&real, file.in_place)?;
        self.take(&real);
        let thing = Thing {
            uid: file.uid,
            gid: file.gid,
            mode: file.mode.0,
            mounted: file.in_place,
            ..Thing::of(Matter::File(Arc::clone(&file.content)))
        };
        self.put(&real, thing);
        Ok(())
    }

    fn set(&mut self, path: &AbsPath, seen: &Expected, to: Attributes) -> Result<(), SystemError> {
        let (real, folder) = self.real_to_write(path)?;
        // Only its shape counts.
        match (seen, self.files.get(&real).map(|it| &it.matter)) {
            (Expected::File { .. }, Some(Matter::File(_))) => {}
            (_, _) => self.verify(&real, seen)?,
        }
        self.is_free(&real, true)?;
        let clock = self.clock;
        let thing = self.files.get_mut(&real).unwrap();
        let is_file = matches!(thing.matter, Matter::File(_));
        if is_file && folder.open && thing.links > 1 {
            return refuse(ErrorKind::Other, format!("{path} has several hard links"));
        }
        if to.mode.is_some() && matches!(thing.matter, Matter::Link(_)) {
            return refuse(ErrorKind::Other, format!("{path} is a link, which has no mode"));
        }
        if (to.uid.is_some() || to.gid.is_some()) && is_file {
            // As the kernel does.
            let setgid = if thing.mode & 0o010 != 0 { 0o2000 } else { 0 };
            thing.mode &= !(0o4000 | setgid);
        }
        thing.capabilities &= to.uid.is_none() && to.gid.is_none();
        let of_others = folder.open || thing.uid != 0;
        thing.list &= !(of_others && (to.uid.is_some() || to.mode.is_some()));
        thing.uid = to.uid.unwrap_or(thing.uid);
        thing.gid = to.gid.unwrap_or(thing.gid);
        thing.mode = to.mode.map_or(thing.mode, |it| it.0);
        thing.changed = clock;
        Ok(())
    }

    /// Puts something in the place of what was seen.
    fn replace(
        &mut self,
        path: &AbsPath,
        seen: &Expected,
        thing: Thing,
    ) -> Result<(), SystemError> {
        let (real, _) = self.real_to_write(path)?;
        self.verify(&real, seen)?;
        self.is_free(&real, false)?;
        self.clear(&real, true)?;
        self.put(&real, thing);
        Ok(())
    }
}

impl Read for FakeHost {
    fn look(&self, wanted: &[(&AbsPath, Wanted)]) -> Vec<Result<Look, SystemError>> {
        self.look_at(|world| {
            let look = |(path, wanted): &(&AbsPath, Wanted)| {
                let Some((real, folder)) = world.real(path)? else {
                    return Ok(Look { folder: None, entry: None });
                };
                let thing = world.files.get(&real);
                let entry = thing.map(|it| world.seen(&real, it, *wanted, folder.open));
                Ok(Look { folder: Some(folder), entry })
            };
            wanted.iter().map(look).collect()
        })
    }

    fn real_folders(&self, folders: &[&AbsPath]) -> Vec<Option<AbsPath>> {
        self.look_at(|world| {
            let real = |folder: &&AbsPath| {
                let mut there = (*folder).clone();
                let real = loop {
                    if let Some((real, _)) = world.walk(&there.found("x")).ok()? {
                        break real;
                    }
                    there = there.parent()?;
                };
                let below = folder.as_str()[there.as_str().trim_end_matches('/').len()..]
                    .trim_start_matches('/');
                let real = if below.is_empty() { real } else { real.found(below) };
                (real != **folder).then_some(real)
            };
            folders.iter().map(real).collect()
        })
    }

    fn mounts(&self) -> Mounts {
        self.look_at(|world| Mounts::of_binds(&world.binds))
    }

    fn tree(&self, root: &AbsPath, sieve: &dyn Sieve) -> Result<Tree, SystemError> {
        self.look_at(|world| {
            let found = world.real(root)?.and_then(|(real, folder)| {
                let real = world.shown_by(real);
                let thing = world.files.get(&real)?;
                (thing.matter == Matter::Directory).then_some((real, folder))
            });
            let Some((real, folder)) = found else {
                return refuse(ErrorKind::Other, format!("open the directory {root}"));
            };
            let below = |path: &AbsPath| {
                path.as_str()[real.as_str().len()..].trim_start_matches('/').to_owned()
            };
            let closed: Vec<&AbsPath> = world
                .below(&real)
                .filter(|(path, it)| {
                    it.mounted || it.matter == Matter::Directory && !sieve.enters(&below(path))
                })
                .map(|(it, _)| it)
                .collect();
            let mut tree = Tree::default();
            for (path, thing) in world.below(&real) {
                if closed.iter().any(|it| *it != path && path.is_within(it)) {
                    continue;
                }
                tree.count += 1;
                let below = below(path);
                let (size, is_file) = match &thing.matter {
                    Matter::File(bytes) => (bytes.len() as u64, true),
                    Matter::Directory
                    | Matter::Link(_)
                    | Matter::Socket
                    | Matter::Fifo
                    | Matter::Device => (0, false),
                };
                let promised = if is_file { sieve.promised(&below) } else { None };
                let wanted = match promised {
                    Some(_) => Wanted::digest_beside(promised, size),
                    None => Wanted::Nothing,
                };
                let mut entry = world.seen(path, thing, wanted, folder.open);
                entry.marks.access_list = false;
                let capabilities = std::mem::take(&mut entry.marks.capabilities);
                if sieve.tells(&below, &entry) {
                    entry.marks.capabilities = capabilities;
                    tree.entries.push(TreeEntry { path: below.into(), entry });
                }
            }
            tree.entries.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(tree)
        })
    }

    fn own_folders(&self) -> Vec<OwnFolder> {
        let all = [
            ("/var/lib/steadfast", false),
            ("/var/cache/steadfast", false),
            ("/run/steadfast", false),
            ("/etc/steadfast", true),
            ("/etc/steadfast/secrets", true),
        ];
        all.map(|(path, promisable)| OwnFolder { path: AbsPath::parse(path).unwrap(), promisable })
            .into()
    }

    fn kept(&self, digest: &Digest) -> Result<Option<Vec<u8>>, SystemError> {
        Ok(self.look_at(|world| world.kept.get(digest).cloned()))
    }
}

/// What this machine holds of a file that it has staged: nothing.
#[derive(Debug)]
struct Waiting;

impl Write for FakeHost {
    /// No part of what is managed, so no effect.
    fn remember_secrets(&self, paths: &[(AbsPath, bool)]) -> Result<Vec<AbsPath>, SystemError> {
        self.remember(|world| {
            let others =
                world.secret_paths.keys().filter(|it| !paths.iter().any(|(path, _)| path == *it));
            let others = others.cloned().collect();
            world.secret_paths.extend(paths.iter().cloned());
            Ok(others)
        })
    }

    fn forget_secrets(&self, paths: &[AbsPath]) -> Result<(), SystemError> {
        self.remember(|world| world.secret_paths.retain(|path, _| !paths.contains(path)));
        Ok(())
    }

    /// What waits is in nobody's way and goes with the process, so it is no part of the world.
    fn stage(&self, files: &[NewFile]) -> Vec<Result<Staged, SystemError>> {
        let stage = |file: &NewFile| {
            self.effect(format!("stage {}", file.path), |world| world.stage(file))?;
            Ok(Staged::new(file.clone(), Waiting))
        };
        files.iter().map(stage).collect()
    }

    fn place(&self, staged: Vec<Staged>) -> Vec<Result<(), SystemError>> {
        let place = |staged: Staged| {
            let (file, _) = staged.take::<Waiting>()?;
            self.effect(format!("place {}", file.path), |world| world.place(&file))
        };
        staged.into_iter().map(place).collect()
    }

    /// One effect for each file, because nobody can tell what happens in between.
    fn write_files(&self, files: &[NewFile]) -> Vec<Result<(), SystemError>> {
        let write = |file: &NewFile| {
            self.effect(format!("write {}", file.path), |world| {
                world.stage(file)?;
                world.place(file)
            })
        };
        files.iter().map(write).collect()
    }

    fn set_attributes(
        &self,
        all: &[(&AbsPath, &Expected, Attributes)],
    ) -> Vec<Result<(), SystemError>> {
        let set = |(path, seen, to): &(&AbsPath, &Expected, Attributes)| {
            self.effect(format!("set {path}"), |world| world.set(path, seen, *to))
        };
        all.iter().map(set).collect()
    }

    fn make_directory(
        &self,
        path: &AbsPath,
        uid: u32,
        gid: u32,
        mode: Mode,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        self.effect(format!("make directory {path}"), |world| {
            if *replaces == Expected::Directory {
                return moved(path, "the directory is there already");
            }
            // It comes with the list of its directory; one that others can write may not say who uses it.
            let above = world.real(path)?.and_then(|(real, folder)| {
                Some(world.files.get(&real.parent()?)?.list && !folder.open)
            });
            let list = above.unwrap_or(false);
            let thing = Thing { uid, gid, mode: mode.0, list, ..Thing::of(Matter::Directory) };
            world.replace(path, replaces, thing)
        })
    }

    fn make_link(
        &self,
        path: &AbsPath,
        target: &str,
        uid: u32,
        gid: u32,
        replaces: &Expected,
    ) -> Result<(), SystemError> {
        self.effect(format!("link {path} -> {target}"), |world| {
            let matter = Matter::Link(target.into());
            world.replace(path, replaces, Thing { uid, gid, mode: 0o777, ..Thing::of(matter) })
        })
    }

    fn remove(
        &self,
        path: &AbsPath,
        seen: &Expected,
        whole: bool,
        keep: bool,
    ) -> Result<(), SystemError> {
        self.effect(format!("remove {path}"), |world| {
            let (real, _) = world.real_to_write(path)?;
            world.verify(&real, seen)?;
            if !whole && world.below(&real).next().is_some() {
                let why = SystemError::new(ErrorKind::Other, "Directory not empty");
                return Err(why.during(format!("remove {path}")));
            }
            let free = world.is_free(&real, false);
            if free.is_err() && whole {
                // What can go is gone by then.
                world.keep(&real, keep)?;
                world.take_free(&real);
            }
            free?;
            world.clear(&real, keep)
        })
    }
}
