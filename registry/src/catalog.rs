//! From what stands in the store, in files and on the disk to a [`View`].
//!
//! Pure: no sockets, no clock (time is passed in), so that every turn of events
//! can be tested. What it wants mirrored it says by [`Catalog::take_wanted`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::counters::Counters;
use crate::key;
use crate::layout::{Kind, Layout};
use crate::listing::Listing;
use crate::rules::{Documents, Merged, Rules};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::store::range::{Range, Update, Wanted};
use crate::view::{Instance, LastGoodReason, RulePlace, Service, ServiceState, View};

/// Everything known, and the view made of it.
#[derive(Debug)]
pub(crate) struct Catalog {
    layout: Layout,
    empty_hold: Duration,
    counters: Arc<Counters>,
    listings: BTreeMap<Range, Listing>,
    services: BTreeMap<String, Subscribed>,
    /// Which services look at a range.
    readers: HashMap<Range, BTreeSet<String>>,
    rules: Rules,
    remembered: Snapshot,
    /// Numbers the wishes; see [`Wanted`].
    wishes: u64,
    rewanted: bool,
    view: View,
    changed: bool,
}

/// A subscribed service.
#[derive(Debug, Default)]
struct Subscribed {
    apps: BTreeSet<String>,
    /// Since when an empty list is held back.
    held: Option<SystemTime>,
}

impl Catalog {
    pub(crate) fn new(
        settings: &Settings,
        remembered: Snapshot,
        counters: Arc<Counters>,
        now: SystemTime,
    ) -> Catalog {
        let mut catalog = Catalog {
            layout: Layout::new(settings),
            empty_hold: settings.empty_hold,
            counters,
            listings: BTreeMap::new(),
            services: BTreeMap::new(),
            readers: HashMap::new(),
            rules: Rules::default(),
            remembered,
            wishes: 0,
            rewanted: true,
            view: View::default(),
            changed: true,
        };
        catalog.view.store.configured = !settings.store.is_empty();
        catalog.view.store.since = now;
        if catalog.view.store.configured {
            catalog.listen(Kind::DubboRules, catalog.layout.dubbo_rules());
            catalog.listen(Kind::OwnRules, catalog.layout.own_rules());
        }
        catalog.merge_rules();
        catalog
    }

    /// Adds a service; nothing happens when it is there.
    pub(crate) fn subscribe(&mut self, name: &str, now: SystemTime) {
        if self.services.contains_key(name) {
            return;
        }
        self.services.insert(name.to_owned(), Subscribed::default());
        let (instances, state) = match self.remembered.services.get(name) {
            _ if !self.view.store.configured => (Vec::new(), ServiceState::Live),
            Some(known) => {
                let since = SystemTime::UNIX_EPOCH + Duration::from_secs(known.seen);
                let instances = known
                    .instances
                    .iter()
                    .map(|url| Instance { url: url.as_str().into() })
                    .collect();
                (instances, ServiceState::LastGood { since, why: LastGoodReason::Disk })
            }
            None => (Vec::new(), ServiceState::Pending),
        };
        let service = Service { name: name.to_owned(), instances: instances.into(), state };
        self.view.services.insert(name.to_owned(), Arc::new(service));
        self.changed = true;
        if self.view.store.configured {
            let (providers, mapping) = (self.layout.providers(name), self.layout.mapping(name));
            self.read(name, Kind::Providers, providers);
            self.read(name, Kind::Mapping, mapping);
            self.refresh(name, now);
        }
    }

    /// Replaces the rules that come from files.
    pub(crate) fn set_files(&mut self, files: Documents) {
        self.rules.set_files(files);
        self.merge_rules();
    }

    /// Takes in what the mirror tells.
    pub(crate) fn apply(&mut self, update: Update, now: SystemTime) {
        match update {
            Update::Connected { endpoint, revision } => {
                self.store_answers(true, endpoint, None, now);
                self.view.store.revision = revision;
            }
            Update::Lost { endpoint, error } => {
                self.store_answers(false, endpoint, Some(error), now);
                for listing in self.listings.values_mut() {
                    listing.synced = false;
                }
                for name in self.services.keys().cloned().collect::<Vec<_>>() {
                    self.refresh(&name, now);
                }
            }
            Update::Listed { range, entries, revision } => {
                let counters = Arc::clone(&self.counters);
                self.told(&range, revision, now, |listing| {
                    listing.replace(entries, revision, &counters);
                });
            }
            Update::Resumed { range } => {
                self.told(&range, 0, now, |listing| listing.synced = true);
            }
            Update::Changed { range, changes, revision } => {
                let counters = Arc::clone(&self.counters);
                self.told(&range, revision, now, |listing| {
                    listing.apply(changes, revision, &counters);
                });
            }
        }
    }

    /// Lets go of what was held back for too long. Tells when to ask again.
    pub(crate) fn expire(&mut self, now: SystemTime) -> Option<SystemTime> {
        let held: Vec<String> = self
            .services
            .iter()
            .filter(|(_, service)| service.held.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &held {
            self.refresh(name, now);
        }
        self.services
            .values()
            .filter_map(|service| service.held)
            .min()
            .map(|at| at + self.empty_hold)
    }

    /// What to mirror, if it changed since the last call.
    pub(crate) fn take_wanted(&mut self) -> Option<Wanted> {
        std::mem::take(&mut self.rewanted).then(|| {
            let wish = |(range, listing): (&Range, &Listing)| (range.clone(), listing.wish);
            self.listings.iter().map(wish).collect()
        })
    }

    /// Whether there is a new picture to take.
    pub(crate) fn changed(&self) -> bool {
        self.changed
    }

    /// The picture, if it changed since the last call.
    pub(crate) fn take_view(&mut self) -> Option<Arc<View>> {
        std::mem::take(&mut self.changed).then(|| Arc::new(self.view.clone()))
    }

    /// What to remember on disk: the view, and what was remembered of services
    /// that nobody subscribed since the start.
    pub(crate) fn snapshot(&self, now: SystemTime) -> Snapshot {
        Snapshot::of(&self.view, &self.remembered, now)
    }

    fn store_answers(
        &mut self,
        yes: bool,
        endpoint: String,
        error: Option<String>,
        now: SystemTime,
    ) {
        let store = &mut self.view.store;
        if store.connected != yes {
            store.since = now;
        }
        store.connected = yes;
        store.endpoint = Some(endpoint);
        store.last_error = error.or(store.last_error.take());
        self.changed = true;
    }

    /// Changes a listing, then everything that is made of it.
    fn told(
        &mut self,
        range: &Range,
        revision: i64,
        now: SystemTime,
        change: impl FnOnce(&mut Listing),
    ) {
        let Some(listing) = self.listings.get_mut(range) else { return };
        change(listing);
        let rules = matches!(listing.kind, Kind::DubboRules | Kind::OwnRules);
        // Not a change by itself: a revision may belong to a range that shows
        // nothing here.
        self.view.store.revision = self.view.store.revision.max(revision);
        if rules {
            self.merge_rules();
        }
        for name in self.readers.get(range).cloned().unwrap_or_default() {
            self.refresh(&name, now);
        }
    }

    fn listen(&mut self, kind: Kind, range: Range) {
        self.listings.entry(range.clone()).or_insert_with(|| {
            self.rewanted = true;
            self.wishes += 1;
            Listing::new(kind, &range, self.wishes)
        });
    }

    fn read(&mut self, name: &str, kind: Kind, range: Range) {
        self.listen(kind, range.clone());
        self.readers.entry(range).or_default().insert(name.to_owned());
    }

    fn stop_reading(&mut self, name: &str, range: &Range) {
        let Some(readers) = self.readers.get_mut(range) else { return };
        readers.remove(name);
        if readers.is_empty() {
            self.readers.remove(range);
            self.listings.remove(range);
            self.rewanted = true;
        }
    }

    fn app_ranges(&self, app: &str) -> [(Kind, Range); 3] {
        let [java, go] = self.layout.metadata(app);
        [(Kind::Instances, Layout::instances(app)), (Kind::Metadata, java), (Kind::Metadata, go)]
    }

    /// Makes one service's part of the view anew.
    fn refresh(&mut self, name: &str, now: SystemTime) {
        self.follow_mapping(name);
        let Some(subscribed) = self.services.get(name) else { return };
        let Some(before) = self.view.services.get(name).cloned() else { return };
        let ranges = self.ranges_of(name, &subscribed.apps);
        let all = |test: fn(&Listing) -> bool| {
            ranges.iter().all(|range| self.listings.get(range).is_some_and(test))
        };
        if !all(|listing| listing.listed) {
            return;
        }
        let synced = all(|listing| listing.synced);
        let found = self.found(name, &subscribed.apps);
        let held = self.held(subscribed.held, &found, &before, synced, now);
        let instances: Arc<[Instance]> = if held.is_some() || found == before.instances[..] {
            Arc::clone(&before.instances)
        } else {
            found.into()
        };
        let lost = match before.state {
            ServiceState::LastGood { since, why: LastGoodReason::StoreLost } => since,
            _ => self.view.store.since,
        };
        let state = match held {
            _ if !synced => ServiceState::LastGood { since: lost, why: LastGoodReason::StoreLost },
            Some(since) => ServiceState::LastGood { since, why: LastGoodReason::EmptyPush },
            None => ServiceState::Live,
        };
        if held.is_some() && subscribed.held.is_none() {
            let (kept, seconds) = (instances.len(), self.empty_hold.as_secs());
            tracing::warn!(
                service = name,
                kept,
                seconds,
                "all instances vanished at once; keeping the last ones"
            );
            Counters::add(&self.counters.empty_pushes);
        } else if held.is_none() && subscribed.held.is_some() {
            tracing::info!(
                service = name,
                instances = instances.len(),
                "instances are no longer held back"
            );
        }
        if let Some(subscribed) = self.services.get_mut(name) {
            subscribed.held = held;
        }
        let service = Service { name: name.to_owned(), instances, state };
        if service != *before || !Arc::ptr_eq(&service.instances, &before.instances) {
            self.view.services.insert(name.to_owned(), Arc::new(service));
            self.changed = true;
        }
    }

    /// Since when an empty list is held back, if it is to be.
    fn held(
        &self,
        since: Option<SystemTime>,
        found: &[Instance],
        before: &Service,
        synced: bool,
        now: SystemTime,
    ) -> Option<SystemTime> {
        if !found.is_empty() || before.instances.is_empty() || self.empty_hold.is_zero() {
            return None;
        }
        let since = since.unwrap_or(now);
        let age = now.duration_since(since).unwrap_or_default();
        // While nobody can confirm that there are none, time does not count.
        (age < self.empty_hold || !synced).then_some(since)
    }

    /// Follows the applications that offer the service.
    fn follow_mapping(&mut self, name: &str) {
        let Some(listing) = self.listings.get(&self.layout.mapping(name)) else { return };
        let apps: BTreeSet<String> = listing.apps().cloned().collect();
        let Some(subscribed) = self.services.get_mut(name) else { return };
        let before = std::mem::replace(&mut subscribed.apps, apps.clone());
        for app in apps.difference(&before) {
            for (kind, range) in self.app_ranges(app) {
                self.read(name, kind, range);
            }
        }
        for app in before.difference(&apps) {
            for (_, range) in self.app_ranges(app) {
                self.stop_reading(name, &range);
            }
        }
    }

    fn ranges_of(&self, name: &str, apps: &BTreeSet<String>) -> Vec<Range> {
        let own = [self.layout.providers(name), self.layout.mapping(name)];
        let apps = apps.iter().flat_map(|app| self.app_ranges(app)).map(|(_, range)| range);
        own.into_iter().chain(apps).collect()
    }

    /// The instances of a service: those registered for the interface, and of
    /// the application-level ones those at other addresses.
    fn found(&self, name: &str, apps: &BTreeSet<String>) -> Vec<Instance> {
        let mut urls: BTreeSet<Arc<str>> = BTreeSet::new();
        if let Some(listing) = self.listings.get(&self.layout.providers(name)) {
            urls.extend(listing.providers().cloned());
        }
        let mut more = Vec::new();
        {
            let known: HashSet<_> = urls.iter().filter_map(|url| key::address(url).ok()).collect();
            for app in apps {
                let Some(listing) = self.listings.get(&Layout::instances(app)) else { continue };
                for instance in listing.instances() {
                    let metadata =
                        self.layout.metadata(app).into_iter().find_map(|range| {
                            self.listings.get(&range)?.metadata(&instance.revision)
                        });
                    let urls = instance.urls(app, name, metadata);
                    more.extend(urls.into_iter().filter(|url| {
                        key::address(url).is_ok_and(|address| !known.contains(&address))
                    }));
                }
            }
        }
        urls.extend(more);
        urls.into_iter().map(|url| Instance { url }).collect()
    }

    /// Makes the rules' part of the view anew.
    fn merge_rules(&mut self) {
        let places = [self.layout.dubbo_rules(), self.layout.own_rules()];
        let followed: Vec<RulePlace> = places
            .iter()
            .filter_map(|range| {
                let Listing { told, newest, .. } = *self.listings.get(range)?;
                Some(RulePlace { prefix: range.key.clone(), told, newest })
            })
            .collect();
        let layers = places.map(|range| {
            match self.listings.get(&range).filter(|listing| listing.listed) {
                Some(listing) => listing.rules().cloned().collect(),
                // What the disk remembers counts until the store has told.
                None if self.view.store.configured => self.remembered.rules_under(&range.key),
                None => Vec::new(),
            }
        });
        let merged = self.rules.merge(layers.into_iter().flatten(), &self.view.rules);
        let Merged { documents, hidden } = merged;
        let view = &mut self.view;
        if documents != view.rules || hidden != view.hidden || followed != view.rule_places {
            (view.rules, view.hidden, view.rule_places) = (documents, hidden, followed);
            self.changed = true;
        }
    }
}

#[cfg(test)]
mod tests;
