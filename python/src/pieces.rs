//! Iteration over the pieces of batches, at the speed of a list: most steps take the next
//! element of the batch at hand and touch no Python code.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pyo3::{prelude::*, types::PyList};

/// An iterator over the elements of the lists a function gives, until it gives `None`. An
/// exception of the function does not end it: the next step asks again.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Pieces {
    next_pieces: Py<PyAny>,
    /// What is left of the lists; more than one if several threads asked at once.
    lists: Mutex<VecDeque<(Py<PyList>, usize)>>,
}

#[pymethods]
impl Pieces {
    #[new]
    fn new(next_pieces: Py<PyAny>) -> Self {
        Self { next_pieces, lists: Mutex::default() }
    }

    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let mut lists = self.lists.lock();
            if let Some((list, place)) = lists.front_mut() {
                if let Ok(piece) = list.bind(py).get_item(*place) {
                    *place += 1;
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
            let list = pieces.cast_into::<PyList>()?.unbind();
            self.lists.lock().push_back((list, 0));
        }
    }
}
