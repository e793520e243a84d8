//! What can go wrong at a call, and at which.

use std::collections::BTreeMap;
use std::io;

use super::inode::Reached;
use super::trace::Operation;

/// What goes wrong at one call. A fault that does not fit the call does nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The call does nothing and returns this error. A sync of a file fails as
    /// [`FailedSync`](Self::FailedSync) with [`Reached::Nothing`] does.
    Io(IoFault),
    /// The call does all that it should and returns this error nevertheless.
    LateIo(IoFault),
    /// A write writes only the first half of its bytes, rounded down, and says so.
    ShortWrite,
    /// A sync of a file returns an error and marks the pages clean: readers see the new bytes, a later sync returns
    /// without an error and without writing them, and only a read after
    /// [`forget_cached`](crate::vfs::VfsFile::forget_cached), or a crash, shows what is on the disk.
    FailedSync(Reached),
    /// A sync of a file or a directory returns without an error and makes nothing durable, as a disk does whose
    /// cache forgets. A later sync that is honest makes it durable.
    LyingSync,
}

/// An error of the system. Those that are about writing leave reads alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoFault {
    /// EIO: the device failed.
    Device,
    /// ENOSPC: no space.
    NoSpace,
    /// EDQUOT: the quota is used up.
    Quota,
    /// EROFS: mounted read-only.
    ReadOnly,
    /// EACCES: not allowed.
    Denied,
}

impl IoFault {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Device,
        Self::NoSpace,
        Self::Quota,
        Self::ReadOnly,
        Self::Denied,
    ];

    /// The error as a caller sees it.
    pub fn error(self) -> io::Error {
        let (kind, text) = match self {
            Self::Device => (io::ErrorKind::Other, "simulated: input/output error"),
            Self::NoSpace => (io::ErrorKind::StorageFull, "simulated: no space left"),
            Self::Quota => (io::ErrorKind::QuotaExceeded, "simulated: over the quota"),
            Self::ReadOnly => (io::ErrorKind::ReadOnlyFilesystem, "simulated: read-only"),
            Self::Denied => (io::ErrorKind::PermissionDenied, "simulated: not allowed"),
        };
        io::Error::new(kind, text)
    }

    fn fits(self, operation: &Operation) -> bool {
        match self {
            Self::Device | Self::Denied => true,
            Self::NoSpace | Self::Quota | Self::ReadOnly => operation.changes(),
        }
    }
}

impl Fault {
    fn fits(self, operation: &Operation) -> bool {
        match self {
            Self::Io(fault) | Self::LateIo(fault) => fault.fits(operation),
            Self::ShortWrite => matches!(operation, Operation::Write { .. }),
            Self::FailedSync(_) => matches!(operation, Operation::SyncData | Operation::SyncAll),
            Self::LyingSync => matches!(
                operation,
                Operation::SyncData | Operation::SyncAll | Operation::SyncDirectory
            ),
        }
    }
}

/// Which call fails how.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    once: BTreeMap<u64, Fault>,
    for_good: Vec<(u64, Fault)>,
    power_off: Option<u64>,
}

impl Plan {
    pub(super) fn fail_at(&mut self, call: u64, fault: Fault) {
        self.once.insert(call, fault);
    }

    pub(super) fn fail_from(&mut self, call: u64, fault: Fault) {
        self.for_good.push((call, fault));
    }

    pub(super) fn power_off_at(&mut self, call: u64) {
        self.power_off = Some(call);
    }

    /// Whether no call gets through any more.
    pub(super) fn is_off(&self, call: u64) -> bool {
        self.power_off.is_some_and(|off| call >= off)
    }

    /// What goes wrong at this call.
    pub(super) fn fault(&self, call: u64, operation: &Operation) -> Option<Fault> {
        let lasting = self.for_good.iter().rev();
        let lasting = lasting
            .filter(|(from, _)| *from <= call)
            .map(|(_, fault)| *fault);
        let once = self.once.get(&call).copied();
        once.into_iter()
            .chain(lasting)
            .find(|fault| fault.fits(operation))
    }
}

/// The error of every call after the power went.
pub(super) fn power_is_off() -> io::Error {
    io::Error::other("simulated: the power is off")
}
