use super::*;
use crate::domain::status::Trigger;
use proptest::prelude::*;

const GONE: Scope = Scope { version: 4, deleted: true, matches: true };
const HERE: Scope = Scope { version: 4, deleted: false, matches: true };

/// Deleted, and the target may hold it.
fn gone(place: Option<Place>) -> Holder {
    let status = Some(ProvisionStatus::Provisioned);
    let work = Work { trigger: Trigger::Deleted, deprovision: true };
    Holder {
        scope: GONE,
        known: Known { status, present: true, in_scope: true, done_version: 3 },
        taken_version: 3,
        dead: false,
        queued: place.map(|place| (work, place)),
    }
}

/// Renamed, and the target has the old name.
fn renamed(place: Option<Place>) -> Holder {
    let work = Work { trigger: Trigger::Updated, deprovision: false };
    Holder { scope: HERE, queued: place.map(|place| (work, place)), ..gone(None) }
}

#[test]
fn a_removal_is_waited_for_until_it_is_done() {
    let expected = [
        (Place::Running, Some(Undone::Running)),
        (Place::Due, Some(Undone::Due)),
        (Place::Later, Some(Undone::Retried)),
        (Place::Held, Some(Undone::Held)),
        (Place::Rejected, None),
        (Place::Waiting, Some(Undone::Waiting)),
        (Place::Paused, Some(Undone::Paused)),
    ];
    for (place, undone) in expected {
        assert_eq!(gone(Some(place)).undone(4), undone, "{place}");
    }
    assert_eq!(gone(None).undone(4), Some(Undone::Unasked));
    assert_eq!(Holder { dead: true, ..gone(None) }.undone(4), Some(Undone::Dead));
    let known = Known { present: false, ..gone(None).known };
    assert_eq!(Holder { known, ..gone(None) }.undone(4), None, "nothing is there any more");
}

#[test]
fn a_removal_that_the_system_works_on_holds_the_name_still() {
    let known =
        Known { status: Some(ProvisionStatus::ProvisionOngoing), done_version: 4, ..gone(None).known };
    assert_eq!(Holder { known, ..gone(Some(Place::Later)) }.undone(4), Some(Undone::Ongoing));
}

#[test]
fn what_runs_may_leave_something() {
    let known = Known::default();
    assert_eq!(Holder { known, ..gone(Some(Place::Running)) }.undone(4), Some(Undone::Running));
    assert_eq!(Holder { known, ..gone(Some(Place::Due)) }.undone(4), None, "it never was there");
}

/// A removal whose end nobody stored is run again, by the last name.
#[test]
fn what_is_deleted_and_may_be_there_again_holds_its_last_name() {
    let again = Holder { taken_version: 4, ..gone(Some(Place::Due)) };
    assert_eq!(again.undone(4), Some(Undone::Due));
    assert_eq!(again.undone(3), None, "an earlier name is not there any more");
}

#[test]
fn a_rename_goes_first_while_it_is_about_to_run() {
    assert_eq!(renamed(Some(Place::Due)).undone(4), Some(Undone::Renaming));
    assert_eq!(renamed(Some(Place::Later)).undone(4), None);
    assert_eq!(renamed(Some(Place::Waiting)).undone(4), None);
    assert_eq!(renamed(None).undone(4), None);
    for place in [Place::Due, Place::Running] {
        let taken = Holder { taken_version: 4, ..renamed(Some(place)) };
        assert_eq!(taken.undone(4), None, "the target has the new name");
    }
}

#[test]
fn a_remote_id_belongs_to_one_living_subject() {
    assert_eq!(taking(&renamed(None), false, false), Taking::Refused);
    assert_eq!(taking(&renamed(Some(Place::Running)), true, false), Taking::Refused);
    assert_eq!(taking(&renamed(Some(Place::Later)), false, true), Taking::Free);
    assert_eq!(taking(&renamed(Some(Place::Running)), false, true), Taking::Again);
    assert_eq!(taking(&gone(Some(Place::Held)), false, false), Taking::Free);
    assert_eq!(taking(&gone(Some(Place::Running)), false, false), Taking::Again);
    let known = Known { present: false, ..gone(None).known };
    assert_eq!(taking(&Holder { known, ..gone(None) }, false, false), Taking::Free);
    assert_eq!(taking(&Holder { known, ..gone(None) }, true, false), Taking::Again);
    assert_eq!(taking(&Holder { known, ..renamed(None) }, true, false), Taking::Again);
    let comes_back = Holder { known, ..renamed(Some(Place::Running)) };
    assert_eq!(taking(&comes_back, false, false), Taking::Again, "its run was told the remote id");
}

#[test]
fn the_sentence_says_what_to_do() {
    let waited = |undone, lot, message| {
        let (subject, user_name) = (SubjectId(17), "jo.doe");
        Waited { subject, user_name, field: Field::UserName, undone, lot, message }.why()
    };
    assert_eq!(
        waited(Undone::Held, Some(5), ""),
        "waits for the removal of `jo.doe` (account 17), which may still hold the user name here: it is held as 5, \
         which someone has to approve or reject"
    );
    assert_eq!(
        waited(Undone::Dead, None, "answered 403"),
        "waits for the removal of `jo.doe` (account 17), which may still hold the user name here: it has failed \
         for good (mend it, then retry the dead letter or sync account 17): answered 403"
    );
}

prop_compose! {
    fn holder()(
        trigger in proptest::sample::select(Trigger::ALL), deprovision: bool,
        place in proptest::option::of(proptest::sample::select(Place::ALL)),
        status in proptest::option::of(proptest::sample::select(ProvisionStatus::ALL)),
        present: bool, in_scope: bool, done_version in 0_i64..5, taken_version in 0_i64..5, dead: bool,
        deleted: bool, matches: bool,
    ) -> Holder {
        Holder {
            scope: Scope { version: 4, deleted, matches },
            known: Known { status, present, in_scope, done_version },
            taken_version,
            dead,
            queued: place.map(|place| (Work { trigger, deprovision }, place)),
        }
    }
}

proptest! {
    /// As long as something of one that leaves may be there, the name is not
    /// free, unless a person has said that it stays.
    #[test]
    fn what_may_be_there_is_waited_for(holder in holder(), given_up in 1_i64..5) {
        let rejected = holder.place() == Some(Place::Rejected);
        let waits = holder.undone(given_up).is_some();
        if holder.leaves() {
            prop_assert_eq!(waits, holder.may_hold(given_up) && !rejected);
        } else {
            prop_assert!(!waits || holder.undone(given_up) == Some(Undone::Renaming));
        }
    }

    /// Who waits itself, for whatever it is, is waited for only when it leaves:
    /// and what leaves waits for no name. So no two wait for each other.
    #[test]
    fn names_keep_nobody_waiting_in_a_circle(first in holder(), second in holder()) {
        let waiting = |holder: Holder| Holder {
            queued: holder.queued.map(|(work, _)| (work, Place::Waiting)), ..holder
        };
        // The first has been parked for the second, and provisions: it does not leave.
        if !first.leaves() && second.undone(4).is_some() && first.queued.is_some() {
            prop_assert_eq!(waiting(first).undone(4), None);
        }
    }

    /// A remote id is never shared by two that both stay.
    #[test]
    fn two_that_stay_never_share_a_remote_id(other in holder(), since: bool) {
        if other.stays() {
            prop_assert_ne!(taking(&other, since, false), Taking::Free);
        }
    }

    /// What is at work on a remote id, or was a moment ago, and removes it, is
    /// never built upon.
    #[test]
    fn nothing_is_built_on_what_is_being_removed(other in holder(), since: bool, moves_on: bool) {
        let removing = (other.scope.deleted || !other.known.present) && other.is_running();
        if removing || since && !other.known.present {
            prop_assert_eq!(taking(&other, since, moves_on), Taking::Again);
        }
    }
}
