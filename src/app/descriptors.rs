//! Descriptors: as many as the system lets a process have, and who gets them.
//! Without any, no host starts, no call goes out and no certificate is read; so
//! connections of the API, which anybody can make, get at most half of them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More than this is of no use here, and makes a child slow that closes them all.
const ENOUGH: u64 = 65_536;

/// Raises the limit of this process as far as it may.
pub(super) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(ENOUGH).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        log::warn!("the limit of descriptors cannot be raised: {error}");
    }
}

/// How many connections of the API there may be, of so many wanted.
pub(super) fn for_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
    let most = share(limit);
    if most < wanted {
        log::warn!(
            "server.maxConnections is {wanted}, but the process may have only {limit} descriptors (ulimit -n): \
             at most {most} connections are let in"
        );
    }
    wanted.min(most)
}

fn share(limit: u64) -> usize {
    usize::try_from(limit / 2).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_are_for_others() {
        assert_eq!((share(1_024), share(65_536), share(1)), (512, 32_768, 1));
        assert_eq!(for_connections(3), 3);
    }
}
