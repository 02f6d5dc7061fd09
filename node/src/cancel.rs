//! Cancelling from JavaScript.

use durable_streams_bindings::CancelHandle;
use napi_derive::napi;
use parking_lot::Mutex;

/// Cancels the operation it was given to; made for an `AbortSignal`.
#[napi]
#[derive(Debug, Default)]
pub struct Cancel {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_cancelled: bool,
    handles: Vec<CancelHandle>,
}

#[napi]
impl Cancel {
    /// A cancel that nobody has used.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels; repeating does nothing. Its promises settle at once.
    #[napi]
    pub fn cancel(&self) {
        let mut state = self.state.lock();
        state.is_cancelled = true;
        let handles = std::mem::take(&mut state.handles);
        drop(state);
        for handle in handles {
            handle.cancel();
        }
    }

    /// Cancels an operation together with this.
    pub(crate) fn attach(&self, handle: &CancelHandle) {
        let mut state = self.state.lock();
        if state.is_cancelled {
            drop(state);
            handle.cancel();
        } else {
            state.handles.push(handle.clone());
        }
    }
}
