//! Iteration over the pieces of batches, at the speed of a list: most steps take the next
//! element of the batch at hand and touch no Python code.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use pyo3::{prelude::*, types::PyList};

/// An iterator over the elements of the lists a function gives, until it gives `None`. An
/// exception of the function does not end it: the next step asks again.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Pieces {
    next_pieces: Py<PyAny>,
    /// What is left of the lists; more than one if several threads asked at once.
    lists: Mutex<VecDeque<(Py<PyList>, usize)>>,
    left: Arc<AtomicUsize>,
}

/// How many pieces of the latest batch have not been taken. An object of its own, so that
/// whoever wants to know need not hold the iterator, which holds it.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Left(Arc<AtomicUsize>);

#[pymethods]
impl Left {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    #[getter]
    fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

#[pymethods]
impl Pieces {
    #[new]
    fn new(next_pieces: Py<PyAny>, left: &Left) -> Self {
        Self { next_pieces, lists: Mutex::default(), left: Arc::clone(&left.0) }
    }

    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let mut lists = self.lists.lock();
            if let Some((list, place)) = lists.front_mut() {
                let list = list.bind(py);
                if let Ok(piece) = list.get_item(*place) {
                    *place += 1;
                    self.left.store(list.len().saturating_sub(*place), Ordering::Release);
                    return Ok(Some(piece));
                }
                let used = lists.pop_front();
                // Destructors of pieces may iterate again.
                drop(lists);
                drop(used);
                continue;
            }
            drop(lists);
            let pieces = self.next_pieces.bind(py).call0()?;
            if pieces.is_none() {
                return Ok(None);
            }
            let list = pieces.cast_into::<PyList>()?;
            self.left.store(list.len(), Ordering::Release);
            let list = list.unbind();
            self.lists.lock().push_back((list, 0));
        }
    }
}
