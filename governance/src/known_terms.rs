//! What configurators make of endpoints, remembered for each caller, so that it is
//! worked out when a caller first calls and not for every call.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use foldhash::fast::FixedState;

use crate::decide::Caller;
use crate::service::{Service, Variant};
use crate::settings::Terms;

/// What configurators made of endpoints, by service and caller. Forgotten all at
/// once when there are many.
#[derive(Debug, Default)]
pub(crate) struct KnownTerms {
    services: HashMap<u64, Vec<CallerTerms>, FixedState>,
}

#[derive(Debug)]
struct CallerTerms {
    address: Box<str>,
    application: Box<str>,
    labels: BTreeMap<String, String>,
    terms: Rc<Terms>,
}

/// How many services' terms are remembered.
const KNOWN_SERVICES: usize = 4096;
/// How many callers' terms are remembered for each.
const KNOWN_CALLERS: usize = 64;

impl KnownTerms {
    /// What configurators make of the endpoints for this caller.
    pub(crate) fn of(
        &mut self,
        service: &Service,
        variant: &Variant,
        caller: &Caller<'_>,
    ) -> Rc<Terms> {
        let Caller { address, application, labels } = *caller;
        let key = variant_number(service, variant);
        if self.services.len() > KNOWN_SERVICES {
            self.services.clear();
        }
        let callers = self.services.entry(key).or_default();
        if let Some(found) = callers.iter().find(|one| {
            *one.address == *address && *one.application == *application && one.labels == *labels
        }) {
            return found.terms.clone();
        }
        if callers.len() >= KNOWN_CALLERS {
            callers.clear();
        }
        let terms = Rc::new(service.terms_for(variant, caller));
        callers.push(CallerTerms {
            address: address.into(),
            application: application.into(),
            labels: labels.clone(),
            terms: terms.clone(),
        });
        terms
    }
}

/// Tells a service's variants apart.
fn variant_number(service: &Service, variant: &Variant) -> u64 {
    let position = service.variants.iter().position(|one| std::ptr::eq(one, variant));
    let position = position.and_then(|position| u64::try_from(position).ok());
    service.number.wrapping_mul(1 << 16).wrapping_add(position.map_or(0, |position| position + 1))
}
