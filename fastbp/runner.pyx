# cython: language_level=3
"""The runner: a C loop that executes a program. It knows calls, buffers and rows, and no op.

A program arrives as flat lists: for each call the address of its kernel, the numbers of its buffers,
its sizes and its attributes. A size is ``fixed + per_row * batch``, so that a batch of another length is
the same program with other sizes. Everything between two returns to Python happens without the GIL.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, intptr_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

cimport numpy as cnp

cnp.import_array()

cdef extern from *:
    """
    #include "abi.h"
    #include "clock.h"
    /* Cython passes arguments as a tuple in the stable ABI of Python 3.11; METH_FASTCALL is in it, and 40 ns faster */
    static PyMethodDef fastbp_step = {"step", NULL, METH_FASTCALL, NULL};
    static PyMethodDef fastbp_map = {"map", NULL, METH_FASTCALL, NULL};
    """
    ctypedef void *PyCFunction
    ctypedef struct PyMethodDef:
        PyCFunction ml_meth
    PyMethodDef fastbp_step, fastbp_map
    object PyCFunction_NewEx(PyMethodDef *, object, PyObject *)
    ctypedef struct fastbp_primitive:
        pass
    ctypedef struct fastbp_pool:
        int (*threads)() noexcept nogil
        void (*run)(void (*)(void *, int, int) noexcept nogil, void *, int) noexcept nogil
    ctypedef int (*fastbp_kernel)(
        void **, const intptr_t *, const double *, const fastbp_primitive *) noexcept nogil
    enum:
        FASTBP_OK
    double fastbp_now() noexcept nogil

cdef extern from "fpcontrol.h" nogil:
    ctypedef uint64_t fastbp_control
    enum:
        FASTBP_IEEE
    fastbp_control fastbp_set_control(fastbp_control control) noexcept

cdef enum:
    INTERRUPTED = -1
    PORTS = 8
    CURSORS = 64        # at most, of a run: its data, the loss and what metrics count
    OPERANDS = 16       # at most, of a kernel that is shared among threads, and as many sizes
    SHARED = 1 << 15    # elements from which threads pay


cdef struct call_t:
    fastbp_kernel kernel
    const fastbp_primitive *primitives
    intptr_t buffers
    intptr_t sizes
    intptr_t attributes
    double cost
    int operands        # of a kernel that threads may share, else 0
    int n_sizes
    int cut             # which size threads share
    intptr_t width      # how many elements the widest operand has for each of it


cdef struct view_t:
    intptr_t buffer
    intptr_t parent
    intptr_t fixed
    intptr_t per_row


cdef struct share_t:
    const call_t *call
    void **pointers
    const intptr_t *items
    const intptr_t *sizes
    const double *attributes


cdef void share(void *context, int part, int parts) noexcept nogil:
    # a part of a call: the same kernel on some elements, in whole cache lines, or on some rows of every array
    cdef const share_t *s = <const share_t *>context
    cdef intptr_t n = s.sizes[s.call.cut], unit = 16 if s.call.width == 1 else 1
    cdef intptr_t units = (n + unit - 1) // unit
    cdef intptr_t first = units * part // parts * unit, end = units * (part + 1) // parts * unit
    cdef void *pointers[OPERANDS]
    cdef intptr_t sizes[OPERANDS]
    cdef int i
    end = end if end < n else n
    if first >= end:
        return
    for i in range(s.call.operands):
        pointers[i] = <char *>s.pointers[i] + first * s.items[i]
    for i in range(s.call.n_sizes):
        sizes[i] = s.sizes[i]
    sizes[s.call.cut] = end - first
    s.call.kernel(pointers, sizes, s.attributes, s.call.primitives)


cdef struct cursor_t:
    intptr_t buffer
    intptr_t per_step
    intptr_t per_row


cdef struct port_t:
    intptr_t buffer
    int typenum
    int ndim
    intptr_t columns
    bint finite


cdef bint all_finite(const void *data, int typenum, intptr_t n) noexcept nogil:
    # NaN and inf have all bits of the exponent set; integers vectorise everywhere
    cdef const uint32_t *f = <const uint32_t *>data
    cdef const uint64_t *d = <const uint64_t *>data
    cdef intptr_t i
    cdef uint32_t bad32 = 0
    cdef uint64_t bad64 = 0
    if typenum == cnp.NPY_FLOAT:
        for i in range(n):
            bad32 |= (f[i] & 0x7f800000u) == 0x7f800000u
        return bad32 == 0
    for i in range(n):
        bad64 |= (d[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u
    return bad64 == 0


cdef void *allocate(intptr_t n, intptr_t item) except NULL:
    cdef void *p = calloc(n if n > 0 else 1, item)
    if p is NULL:
        raise MemoryError()
    return p


cdef class Runner:
    """A program made ready to run.

    Parameters
    ----------
    calls : list of tuple
        ``(kernel address, primitives address, buffer numbers, sizes, attributes, cost, cut)`` for each call;
        each size and the cost a pair ``(fixed, per_row)``. The cost is a rough count of nanoseconds. `cut` is None,
        or for a kernel that threads may share ``(size, items, width)``: the number of the size that is cut, how many
        bytes each operand has for each of it (0 where it has not that length), and how many elements the widest has.
    n_buffers : int
        How many buffers there are; `bind` gives each its address.
    pool : int
        The address of a ``fastbp_pool`` (``abi.h``), or 0.
    portable : bool
        Whether the calls round to nearest and keep subnormals whatever is found (``fpcontrol.h``).
    counter : ndarray of int64, shape (1,), optional
        Counts the steps: of `run_steps` and `step`, and of `run` if it is told that it is one.
    turns : object, optional
        Its attribute ``stage`` is "step" while a handler of a signal runs in the middle of the calls.
    views : list of tuple, optional
        ``(buffer, parent, fixed, per_row)`` for each buffer that lies in another one: where, in bytes,
        ``fixed + per_row * batch``. A parent is no view.
    """

    cdef call_t *calls
    cdef void **pointers          # per call and operand, as kernels take them
    cdef intptr_t *uses           # of each buffer in turn, which pointers are its address
    cdef intptr_t *first_use      # where in `uses` those of a buffer begin
    cdef char **addresses         # per buffer
    cdef view_t *views            # those of a buffer are neighbours
    cdef intptr_t *first_view     # of each buffer, where in `views` they begin
    cdef intptr_t *sizes
    cdef intptr_t *fixed
    cdef intptr_t *per_row
    cdef double *attributes
    cdef double *costs            # fixed and per row, for each call
    cdef intptr_t *items          # per call and operand
    cdef const fastbp_pool *pool
    cdef bint portable
    cdef fastbp_control found     # the control word outside of `execute`
    cdef readonly int n_calls
    cdef intptr_t n_pointers, n_sizes, n_buffers, n_views
    cdef readonly intptr_t batch
    cdef readonly int failed      # the call that returned a status
    cdef readonly intptr_t steps  # steps that the last run_steps completed
    cdef port_t ports[PORTS]
    cdef int n_ports
    cdef port_t result
    cdef int first, last, commit  # the calls of `step`
    cdef intptr_t capacity        # the rows that `step` and a block of `map` may have
    cdef double budget            # nanoseconds of work until the clock is looked at
    cdef double last_check
    cdef object pending
    cdef bint busy
    cdef object turns             # told when Python runs within a step: a handler of a signal
    cdef object counted           # owns the memory behind `counter`
    cdef int64_t *counter
    cdef public object keep       # what owns the memory behind the addresses

    def __cinit__(self, list calls, intptr_t n_buffers, intptr_t pool=0, bint portable=False,
                  cnp.ndarray counter=None, turns=None, views=()):
        cdef intptr_t i, p = 0, s = 0, a = 0
        self.counted, self.turns = counter, turns
        self.counter = NULL if counter is None else <int64_t *>cnp.PyArray_DATA(counter)
        places = [[] for _ in range(n_buffers)]
        self.pool = <const fastbp_pool *>pool
        self.portable = portable
        self.n_calls = len(calls)
        self.n_buffers = n_buffers
        self.n_pointers = sum(len(c[2]) for c in calls)
        self.n_sizes = sum(len(c[3]) for c in calls)
        self.calls = <call_t *>allocate(self.n_calls, sizeof(call_t))
        self.pointers = <void **>allocate(self.n_pointers, sizeof(void *))
        self.uses = <intptr_t *>allocate(self.n_pointers, sizeof(intptr_t))
        self.first_use = <intptr_t *>allocate(n_buffers + 1, sizeof(intptr_t))
        self.addresses = <char **>allocate(n_buffers, sizeof(char *))
        self.sizes = <intptr_t *>allocate(self.n_sizes, sizeof(intptr_t))
        self.fixed = <intptr_t *>allocate(self.n_sizes, sizeof(intptr_t))
        self.per_row = <intptr_t *>allocate(self.n_sizes, sizeof(intptr_t))
        self.attributes = <double *>allocate(sum(len(c[4]) for c in calls), sizeof(double))
        self.costs = <double *>allocate(2 * self.n_calls, sizeof(double))
        self.items = <intptr_t *>allocate(self.n_pointers, sizeof(intptr_t))
        for i, (kernel, primitives, buffers, sizes, attributes, cost, cut) in enumerate(calls):
            if cut is not None:
                size, items, width = cut
                if len(items) != len(buffers) or not 0 <= size < len(sizes) or max(len(items), len(sizes)) > OPERANDS:
                    raise ValueError(f"call {i} has {len(items)} items for {len(buffers)} buffers, cuts size {size}")
                self.calls[i].operands, self.calls[i].n_sizes = len(buffers), len(sizes)
                self.calls[i].cut, self.calls[i].width = size, width
                for k, item in enumerate(items):
                    self.items[p + k] = item
            self.calls[i].kernel = <fastbp_kernel><intptr_t>kernel
            self.calls[i].primitives = <const fastbp_primitive *><intptr_t>primitives
            self.calls[i].buffers = p
            self.calls[i].sizes = s
            self.calls[i].attributes = a
            self.costs[2 * i], self.costs[2 * i + 1] = cost
            for number in buffers:
                if not 0 <= number < n_buffers:
                    raise ValueError(f"call {i} names buffer {number}; there are {n_buffers}")
                places[number].append(p)
                p += 1
            for self.fixed[s], self.per_row[s] in sizes:
                s += 1
            for value in attributes:
                self.attributes[a] = value
                a += 1
        self.n_views = len(views)
        self.views = <view_t *>allocate(self.n_views, sizeof(view_t))
        self.first_view = <intptr_t *>allocate(n_buffers + 1, sizeof(intptr_t))
        for i, (buffer, parent, fixed, per_row) in enumerate(sorted(views, key=lambda view: view[1])):
            if not (0 <= buffer < n_buffers and 0 <= parent < n_buffers):
                raise ValueError(f"buffer {buffer} is a view of {parent}; there are {n_buffers}")
            self.views[i] = view_t(buffer, parent, fixed, per_row)
            self.first_view[parent + 1] = i + 1
        for i in range(n_buffers):
            self.first_view[i + 1] = max(self.first_view[i + 1], self.first_view[i])
        for number, numbers in enumerate(places):
            self.first_use[number + 1] = self.first_use[number] + len(numbers)
            for k, place in enumerate(numbers):
                self.uses[self.first_use[number] + k] = place
        self.batch = -1

    def __dealloc__(self):
        free(self.calls)
        free(self.pointers)
        free(self.uses)
        free(self.first_use)
        free(self.addresses)
        free(self.views)
        free(self.first_view)
        free(self.sizes)
        free(self.fixed)
        free(self.per_row)
        free(self.attributes)
        free(self.costs)
        free(self.items)

    cdef void point(self, intptr_t buffer, char *address) noexcept nogil:
        cdef intptr_t i
        self.addresses[buffer] = address
        for i in range(self.first_use[buffer], self.first_use[buffer + 1]):
            self.pointers[self.uses[i]] = address

    cdef void move(self, intptr_t buffer, char *address) noexcept nogil:
        cdef intptr_t i
        if self.addresses[buffer] == address:
            return
        self.point(buffer, address)
        for i in range(self.first_view[buffer], self.first_view[buffer + 1]):
            self.follow(&self.views[i])

    cdef void follow(self, const view_t *view) noexcept nogil:
        # a view lies where its parent is
        cdef char *parent = self.addresses[view.parent]
        self.point(view.buffer, NULL if parent is NULL else parent + view.fixed + view.per_row * self.batch)

    cdef void resize(self, intptr_t batch) noexcept nogil:
        cdef intptr_t i
        if batch == self.batch:
            return
        self.batch = batch
        for i in range(self.n_sizes):
            self.sizes[i] = self.fixed[i] + self.per_row[i] * batch
        for i in range(self.n_calls):
            self.calls[i].cost = self.costs[2 * i] + self.costs[2 * i + 1] * batch
        for i in range(self.n_views):
            if self.views[i].per_row:
                self.follow(&self.views[i])

    cdef bint interrupted(self) noexcept with gil:
        if self.portable:
            fastbp_set_control(self.found)
        try:
            if self.turns is not None:
                self.turns.stage = "step"
            PyErr_CheckSignals()
        except BaseException as error:
            self.pending = error
        if self.turns is not None:
            self.turns.stage = ""
        if self.portable:
            self.found = fastbp_set_control(FASTBP_IEEE)
        return self.pending is not None

    cdef int execute(self, int first, int last, int commit) noexcept nogil:
        cdef int status
        if not self.portable:
            return self.run_calls(first, last, commit)
        self.found = fastbp_set_control(FASTBP_IEEE)
        status = self.run_calls(first, last, commit)
        fastbp_set_control(self.found)
        return status

    cdef int step_through(self, int first, int last, int commit) noexcept nogil:
        # a whole step, and its count: no handler of a signal comes between the two
        cdef int status = self.execute(first, last, commit)
        if status == FASTBP_OK and self.counter is not NULL:
            self.counter[0] += 1
        return status

    cdef int run_calls(self, int first, int last, int commit) noexcept nogil:
        # calls from `commit` on write parameters: once begun they run to the end
        cdef int i, status
        cdef double t
        cdef call_t *call
        cdef share_t shared
        for i in range(first, last):
            call = &self.calls[i]
            if (call.operands and self.sizes[call.sizes + call.cut] * call.width >= SHARED
                    and self.pool and self.pool.threads() > 1):
                shared = share_t(call, self.pointers + call.buffers, self.items + call.buffers,
                                 self.sizes + call.sizes, self.attributes + call.attributes)
                # more parts than threads: they cost nothing, and one that loses its core holds up less
                self.pool.run(share, &shared, 4 * self.pool.threads())
                status = FASTBP_OK
            else:
                status = call.kernel(self.pointers + call.buffers, self.sizes + call.sizes,
                                     self.attributes + call.attributes, call.primitives)
            if status != FASTBP_OK:
                self.failed = i
                return status
            self.budget -= call.cost
            if self.budget < 0 and i < commit:
                # reading the clock costs 50 ns: not for every call
                self.budget = 1e6
                t = fastbp_now()
                if t - self.last_check > 0.02:
                    self.last_check = t
                    if self.interrupted():
                        self.failed = i
                        return INTERRUPTED
        return FASTBP_OK

    cdef int enter(self) except -1:
        if self.busy:
            raise RuntimeError("this program is running already")
        self.busy = True
        self.budget = 1e6
        self.last_check = fastbp_now()
        self.pending = None
        return 0

    cdef int leave(self, int status) except? -2:
        self.busy = False
        if self.pending is not None:
            error, self.pending = self.pending, None
            raise error
        return status

    def bind(self, intptr_t buffer, cnp.ndarray array):
        """Point a buffer at the memory of an array, which the caller keeps alive; None unsets it."""
        if not 0 <= buffer < self.n_buffers:
            raise ValueError(f"buffer is {buffer}; there are {self.n_buffers}")
        self.move(buffer, NULL if array is None else <char *>cnp.PyArray_DATA(array))

    def set_batch(self, intptr_t batch):
        """Make `batch` the number of rows of the next run."""
        self.resize(batch)

    def set_sizes(self, int call, list sizes):
        """Replace the sizes of one call by other pairs (fixed, per_row)."""
        cdef intptr_t s = self.calls[call].sizes
        for self.fixed[s], self.per_row[s] in sizes:
            s += 1
        self.batch = -1

    def run(self, int first, int last, int commit, bint counted=False):
        """Run the calls `first` to `last` - 1 once; return 0 or the status of the call `failed`."""
        cdef int status
        self.enter()
        with nogil:
            status = self.step_through(first, last, commit) if counted else self.execute(first, last, commit)
        return self.leave(status)

    def run_steps(self, int first, int last, int commit, intptr_t rows, intptr_t batch, list cursors,
                  on_pause=None, double interval=0.1):
        """Run the calls once for each batch of `rows`; the last batch may be smaller.

        Parameters
        ----------
        first, last, commit : int
            The calls; from `commit` on a step is not interrupted.
        cursors : list of (buffer, array, bytes per step, bytes per row)
            Buffers that are in an array during the run, and by how much they move on after every step.
        on_pause : callable, optional
            Called with the number of finished steps every `interval` seconds.

        Returns
        -------
        int
            0, or the status of the call `failed` in step `steps`.
        """
        cdef cursor_t moving[CURSORS]
        cdef char *starts[CURSORS]
        cdef char *address
        cdef cnp.ndarray array
        cdef int status = FASTBP_OK, i, n_cursors = len(cursors)
        cdef intptr_t done = 0, count
        cdef double last_pause = fastbp_now()
        self.steps = 0
        if n_cursors > CURSORS:
            raise ValueError(f"at most {CURSORS} cursors, got {n_cursors}")
        for i in range(n_cursors):
            number, array, moving[i].per_step, moving[i].per_row = cursors[i]
            if not 0 <= number < self.n_buffers:
                raise ValueError(f"buffer is {number}; there are {self.n_buffers}")
            moving[i].buffer = number
            starts[i] = <char *>cnp.PyArray_DATA(array)
        self.enter()
        for i in range(n_cursors):
            starts[i], address = self.addresses[moving[i].buffer], starts[i]
            self.move(moving[i].buffer, address)
        try:
            with nogil:
                while done < rows:
                    count = rows - done if rows - done < batch else batch
                    self.resize(count)
                    status = self.step_through(first, last, commit)
                    if status != FASTBP_OK:
                        break
                    done += count
                    self.steps += 1
                    for i in range(n_cursors):
                        self.move(moving[i].buffer, self.addresses[moving[i].buffer]
                                  + moving[i].per_step + moving[i].per_row * count)
                    if self.last_check - last_pause > interval:
                        last_pause = self.last_check
                        with gil:
                            if on_pause is not None:
                                on_pause(self.steps)
        finally:
            for i in range(n_cursors):
                self.move(moving[i].buffer, starts[i])
            self.busy = False
        return self.leave(status)

    def set_span(self, int first, int last, int commit, intptr_t capacity):
        """Say what `step` runs, and how many rows `step` or a block of `map` may have."""
        self.first, self.last, self.commit, self.capacity = first, last, commit, capacity

    def set_ports(self, list inputs, result):
        """Name the buffers that `step` and `map` take arrays for.

        Parameters
        ----------
        inputs : list of (buffer, type number, ndim, columns, finite)
            What an array must be to be used as it is; `finite` asks that it holds no NaN or inf.
        result : (buffer, type number, columns)
            What `step` returns a scalar of, and `map` an array.
        """
        self.n_ports = len(inputs)
        if self.n_ports > PORTS:
            raise ValueError(f"at most {PORTS} inputs, got {self.n_ports}")
        for i, (buffer, typenum, ndim, columns, finite) in enumerate(inputs):
            self.ports[i] = port_t(buffer, typenum, ndim, columns, finite)
        buffer, typenum, columns = result
        self.result = port_t(buffer, typenum, 2, columns, False)

    cdef intptr_t accept(self, int port, x) noexcept:
        # the rows of `x` if it can be used as it is, else -1: the caller then converts it or explains
        cdef port_t *p = &self.ports[port]
        cdef cnp.ndarray array
        cdef intptr_t rows
        if not cnp.PyArray_CheckExact(x):
            return -1
        array = <cnp.ndarray>x
        if (cnp.PyArray_TYPE(array) != p.typenum or cnp.PyArray_NDIM(array) != p.ndim
                or not cnp.PyArray_ISCARRAY_RO(array) or (p.ndim == 2 and cnp.PyArray_DIM(array, 1) != p.columns)):
            return -1
        rows = cnp.PyArray_DIM(array, 0)
        if rows == 0 or (p.finite and not all_finite(cnp.PyArray_DATA(array), p.typenum, cnp.PyArray_SIZE(array))):
            return -1
        self.move(p.buffer, <char *>cnp.PyArray_DATA(array))
        return rows

    @property
    def step(self):
        """Function of `x` and `y`: run the calls of `set_span` on one batch that is taken as it is.

        It returns a float, or None where `x` or `y` must be converted first or is refused, or a call returned a
        status.
        """
        return PyCFunction_NewEx(&fastbp_step, self, NULL)

    @property
    def map(self):
        """Function of `x` and `block`: run all calls on the rows of `x`, `block` rows at a time, into a new array.

        It returns the array, or None where `x` must be converted first or is refused, or where a block has more
        rows than `set_span` allows.
        """
        return PyCFunction_NewEx(&fastbp_map, self, NULL)

    cdef object run_step(self, x, y):
        cdef intptr_t rows
        cdef int status
        self.enter()
        rows = self.accept(0, x)
        if rows < 0 or rows > self.capacity or self.accept(1, y) != rows:
            self.busy = False
            return None
        self.resize(rows)
        with nogil:
            status = self.step_through(self.first, self.last, self.commit)
        if self.leave(status) != FASTBP_OK:
            return None
        if self.result.typenum == cnp.NPY_FLOAT:
            return (<float *>self.addresses[self.result.buffer])[0]
        return (<double *>self.addresses[self.result.buffer])[0]

    cdef object run_map(self, x, intptr_t block):
        cdef cnp.npy_intp shape[2]
        cdef intptr_t rows, done = 0, count, x_row, y_row
        cdef int status = FASTBP_OK
        cdef cnp.ndarray out
        cdef char *start
        cdef char *target
        self.enter()
        rows = self.accept(0, x)
        if rows < 0 or (rows > self.capacity and block > self.capacity):
            self.busy = False
            return None
        shape[0] = rows
        shape[1] = self.result.columns
        out = cnp.PyArray_EMPTY(2, shape, self.result.typenum, 0)
        start = <char *>cnp.PyArray_DATA(x)
        target = <char *>cnp.PyArray_DATA(out)
        x_row = cnp.PyArray_ITEMSIZE(x) * self.ports[0].columns
        y_row = cnp.PyArray_ITEMSIZE(out) * self.result.columns
        with nogil:
            while done < rows and status == FASTBP_OK:
                count = rows - done if rows - done < block else block
                self.resize(count)
                self.move(self.ports[0].buffer, start + done * x_row)
                self.move(self.result.buffer, target + done * y_row)
                status = self.execute(0, self.n_calls, self.n_calls)
                done += count
        if self.leave(status) != FASTBP_OK:
            return None
        return out


cdef object step_(Runner self, PyObject **arguments, Py_ssize_t n):
    if n != 2:
        raise TypeError(f"step takes 2 arguments, got {n}")
    return self.run_step(<object>arguments[0], <object>arguments[1])


cdef object map_(Runner self, PyObject **arguments, Py_ssize_t n):
    if n != 2:
        raise TypeError(f"map takes 2 arguments, got {n}")
    return self.run_map(<object>arguments[0], <object>arguments[1])


fastbp_step.ml_meth = <PyCFunction><void *>step_
fastbp_map.ml_meth = <PyCFunction><void *>map_
