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

/// An iterator over the elements of lists, which a function puts into it until it says that there
/// are no more. An exception of the function does not end it: the next step asks again.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Pieces {
    fill: Py<PyAny>,
    /// What is left of the lists; more than one if the function has used the iterator itself.
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
    fn new(fill: Py<PyAny>, left: &Left) -> Self {
        Self { fill, lists: Mutex::default(), left: Arc::clone(&left.0) }
    }

    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let pieces = slf.get();
        loop {
            if let Some(piece) = pieces.take(slf.py())? {
                return Ok(Some(piece));
            }
            if !pieces.fill.bind(slf.py()).call1((slf,))?.is_truthy()? {
                return Ok(None);
            }
        }
    }

    /// Puts pieces behind those there are, in the turn of the function.
    fn put(&self, pieces: Bound<'_, PyList>) {
        let count = pieces.len();
        let mut lists = self.lists.lock();
        lists.push_back((pieces.unbind(), 0));
        self.changed_left(|left| left.saturating_add(count));
    }
}

impl Pieces {
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let mut lists = self.lists.lock();
            let Some((list, place)) = lists.front_mut() else { return Ok(None) };
            let list = list.bind(py);
            if *place < list.len() {
                let piece = list.get_item(*place)?;
                *place += 1;
                self.changed_left(|left| left.saturating_sub(1));
                return Ok(Some(piece));
            }
            let used = lists.pop_front();
            // Destructors of pieces may iterate again.
            drop(lists);
            drop(used);
        }
    }

    /// Only with the lists locked: a load and a store are quicker than an atomic sum.
    fn changed_left(&self, change: impl FnOnce(usize) -> usize) {
        self.left.store(change(self.left.load(Ordering::Relaxed)), Ordering::Release);
    }
}
