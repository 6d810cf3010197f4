//! What a site does about what cannot be: it is found, kept and shown, keeps the site from ordering,
//! and is over once it is gone.

use boltgrid_metering::plausibility::AnomalyKind;
use boltgrid_metering::sun;

use super::*;
use crate::anomalies::AnomalyRecord;

impl Running {
    async fn checked(&mut self, wanted: impl Fn(&Checked) -> bool) -> Checked {
        timeout(PATIENCE, self.checked.wait_for(wanted)).await.unwrap().unwrap().clone()
    }

    fn kept(&self) -> Vec<AnomalyRecord> {
        let ever = Timestamp::from_unix_ms(u64::MAX);
        self.store.archive().anomalies(Timestamp::default(), ever).map(Result::unwrap).collect()
    }
}

#[tokio::test]
async fn a_register_that_goes_back_stands_in_the_way_until_two_intervals_are_clean() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    site.state(|state| state.stale.is_none()).await;
    fake.set(GRID_IMPORT_LOW, 10);
    let checked = site.checked(|it| !it.standing.is_empty()).await;
    let [record] = &checked.standing[..] else { panic!("{checked:?}") };
    assert_eq!((record.kind(), &*record.of), (AnomalyKind::RegisterBack.name(), "meter"));
    assert!(record.blocks_orders() && record.found.to_string().contains("new meter key"));
    assert_eq!(site.kept().len(), 1, "it is on disk when it is shown");
    // What the meter shows is right again, and is not trusted at once.
    fake.set(GRID_IMPORT_LOW, 5_001);
    let implausible = |state: &SiteState| {
        matches!(&state.stale, Some(Stale { failure: Failure::Implausible(_), .. }))
    };
    site.state(implausible).await;
    site.state(|state| state.stale.is_none()).await;
    let [record] = &site.kept()[..] else { panic!("{:?}", site.kept()) };
    let ended_at = record.ended_at.expect("it is over");
    assert!(ended_at.ms_since(record.seen_at) >= 2 * INTERVAL_MS, "{record:?}");
    assert!(site.checked(|it| it.standing.is_empty()).await.standing.is_empty());
    site.stop().await;
}

#[tokio::test]
async fn what_stood_when_a_node_was_stopped_does_not_stand_for_ever() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    site.state(|state| state.stale.is_none()).await;
    fake.set(GRID_IMPORT_LOW, 10);
    site.checked(|it| !it.standing.is_empty()).await;
    site.stop().await;
    fake.set(GRID_IMPORT_LOW, 5_001);
    let mut site = Running::open(config(&fake), dir.path()).await.unwrap();
    site.state(|state| state.stale.is_none()).await;
    let [record] = &site.kept()[..] else { panic!("{:?}", site.kept()) };
    assert_eq!(record.ended_at, Some(record.seen_at));
    site.stop().await;
}

#[tokio::test]
async fn pv_in_the_dark_is_noticed_and_stands_in_nobodys_way() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    // At one of four places a quarter of the earth apart, it is night now.
    let now = clock::now();
    let places = [-135_000, -45_000, 45_000, 135_000].map(|longitude_millidegrees| sun::Place {
        latitude_millidegrees: 0,
        longitude_millidegrees,
    });
    let dark = places.into_iter().min_by_key(|place| place.sun_millidegrees(now).unwrap());
    let config = SiteConfig { place: dark, ..config(&fake) };
    let mut site = Running::open(config, dir.path()).await.unwrap();
    let checked = site.checked(|it| !it.standing.is_empty()).await;
    assert_eq!(checked.standing[0].kind(), AnomalyKind::PvAtNight.name());
    assert!(site.state(|_| true).await.stale.is_none());
    site.stop().await;
}

#[tokio::test]
async fn a_place_that_is_not_on_earth_is_refused() {
    let (fake, dir) = (Fake::start().await, tempfile::tempdir().unwrap());
    let place = sun::Place { latitude_millidegrees: 90_001, longitude_millidegrees: 0 };
    let config = SiteConfig { place: Some(place), ..config(&fake) };
    let refused = Running::open(config, dir.path()).await.err().unwrap().to_string();
    assert!(refused.contains("site.place is not on earth"), "{refused}");
}
