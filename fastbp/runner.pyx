# cython: language_level=3
"""The runner: a C loop that executes a program. It knows calls, buffers and rows, and no op.

A program arrives as flat lists: for each call the address of its kernel, the numbers of its buffers,
its sizes and its attributes. A size is ``fixed + per_row * batch``, so that a batch of another length is
the same program with other sizes. Everything between two returns to Python happens without the GIL.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport PyObject
from libc.float cimport DBL_MAX, FLT_MAX
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, intptr_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cimport numpy as cnp

cnp.import_array()

cdef extern from *:
    """
    #include "abi.h"
    #include "clock.h"
    /* Cython passes arguments as a tuple in the stable ABI of Python 3.11; METH_FASTCALL is in it, and 40 ns faster */
    static PyMethodDef fastbp_run = {"run", NULL, METH_FASTCALL, NULL};
    static PyMethodDef fastbp_fits = {"fits", NULL, METH_FASTCALL, NULL};
    """
    ctypedef void *PyCFunction
    ctypedef struct PyMethodDef:
        PyCFunction ml_meth
    PyMethodDef fastbp_run, fastbp_fits
    unsigned long PyThread_get_thread_ident()
    long long PyLong_AsLongLongAndOverflow(object, int *)
    object PyCFunction_NewEx(PyMethodDef *, object, PyObject *)
    ctypedef struct fastbp_primitive:
        pass
    ctypedef struct fastbp_pool:
        int (*threads)() noexcept nogil
        void (*run)(void (*)(void *, int, int) noexcept nogil, void *, int) noexcept nogil
    ctypedef int (*fastbp_kernel)(
        void **, const intptr_t *, const double *, const fastbp_primitive *) noexcept nogil
    enum:
        FASTBP_OK, FASTBP_SHARED
    double fastbp_now() noexcept nogil

cdef extern from "fpcontrol.h" nogil:
    ctypedef uint64_t fastbp_control
    enum:
        FASTBP_IEEE
    fastbp_control fastbp_set_control(fastbp_control control) noexcept

cdef enum:
    INTERRUPTED = -1
    PORTS = 16
    DIMS = 6            # at most, of a row that a port takes
    REFUSED = -3        # of a block that cannot be taken
    PIECE = 1 << 12     # elements that are converted and looked at in one go
    LOOKED_AT = 1 << 20 # elements of an array that are looked at without an answer to Ctrl-C
    CURSORS = 64        # at most, of a run: its data, the loss and what metrics count
    OPERANDS = 16       # at most, of a kernel that is shared among threads, and as many sizes
    BRIEF = 10000       # nanoseconds of calls for which other threads may wait: to let them run takes 50


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
    char kind               # of its elements, as NumPy's dtypes have it: f, i or u
    int itemsize
    int ndim                # of one row
    intptr_t dims[DIMS]     # of one row
    intptr_t row            # elements of one row
    bint checked            # whether each element must lie between `low` and `high`, or be `other`
    bint ends               # whether between is not enough: it must be one of the two
    double low
    double high
    double other
    char *room              # memory for what is converted
    char *own               # of the buffer, where what is given may change before the calls are done with it; else NULL
    char *home              # where the buffer is between two calls


cdef struct result_t:
    intptr_t buffer
    int typenum
    int ndim                # of one row
    intptr_t dims[DIMS]     # of one row
    intptr_t row            # bytes of one row
    char *target            # where the rows are returned


cdef struct given_t:
    PyObject *values
    const char *data        # of an array; NULL of nested lists
    char kind
    int itemsize


cdef void describe(cnp.ndarray array, given_t *g) noexcept:
    cdef int i = cnp.PyArray_TYPE(array)
    g.kind = (c"f" if cnp.PyTypeNum_ISFLOAT(i) else c"i" if cnp.PyTypeNum_ISSIGNED(i)
              else c"u" if cnp.PyTypeNum_ISUNSIGNED(i) else c"?")
    g.itemsize = cnp.PyArray_ITEMSIZE(array)
    g.data = <const char *>cnp.PyArray_DATA(array)


cdef fused target_t:
    float
    double
    int64_t


cdef bint between(const target_t *x, intptr_t n, double low, double high, bint ends, double other) noexcept nogil:
    # without a branch, so that it vectorises; NaN lies nowhere
    cdef intptr_t i
    cdef bint good = True
    cdef target_t least = <target_t>low, most = <target_t>high, also = <target_t>other
    if ends:
        for i in range(n):
            good &= (x[i] == least) | (x[i] == most)
    elif target_t is int64_t:
        for i in range(n):
            good &= ((x[i] >= least) & (x[i] <= most)) | (x[i] == also)
    else:
        for i in range(n):
            good &= (x[i] >= least) & (x[i] <= most)
    return good


cdef fused source_t:
    float
    double
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t


cdef void cast(const source_t *x, target_t *y, intptr_t n) noexcept nogil:
    # as NumPy's astype, which warns of what becomes infinite
    cdef intptr_t i
    for i in range(n):
        y[i] = <target_t>x[i]


cdef bint convert(const given_t *g, target_t *y, intptr_t first, intptr_t n) noexcept nogil:
    # elements of an array of another dtype; whether there is a way
    if g.kind == c"f" and target_t is not int64_t:
        if g.itemsize == 4:
            cast(<const float *>g.data + first, y, n)
        elif g.itemsize == 8:
            cast(<const double *>g.data + first, y, n)
        else:
            return False
    elif g.kind == c"i":
        if g.itemsize == 8:
            cast(<const int64_t *>g.data + first, y, n)
        elif g.itemsize == 4:
            cast(<const int32_t *>g.data + first, y, n)
        elif g.itemsize == 2:
            cast(<const int16_t *>g.data + first, y, n)
        else:
            cast(<const int8_t *>g.data + first, y, n)
    elif g.kind == c"u" and g.itemsize < 8:
        if g.itemsize == 4:
            cast(<const uint32_t *>g.data + first, y, n)
        elif g.itemsize == 2:
            cast(<const uint16_t *>g.data + first, y, n)
        else:
            cast(<const uint8_t *>g.data + first, y, n)
    else:
        return False
    return True


cdef bint narrowed(const double *x, float *y, intptr_t n) noexcept nogil:
    cdef intptr_t i
    cdef bint good = True
    cdef float v
    for i in range(n):
        v = <float>x[i]
        y[i] = v
        good &= (v >= -FLT_MAX) & (v <= FLT_MAX)
    return good


cdef bint converted(const given_t *g, target_t *y, intptr_t n, double most) noexcept nogil:
    # whether all of y is finite, which becomes the elements of an array, if that is another one: piece by piece in L1
    cdef intptr_t first = 0, count
    if target_t is float:
        if g.data is not NULL and g.kind == c"f" and g.itemsize == 8:
            return narrowed(<const double *>g.data, y, n)
    while first < n:
        count = n - first if n - first < PIECE else PIECE
        if g.data is not NULL:
            convert(g, y + first, first, count)
        if not between(y + first, count, -most, most, False, most):
            return False
        first += count
    return True


def convert_finite(cnp.ndarray x, cnp.ndarray y):
    """Put the numbers of an array into another one, and look at these in the same pass.

    Parameters
    ----------
    x : ndarray
        Of the shape of `y`, of any real dtype; `y` itself is only looked at.
    y : ndarray
        C-contiguous, float32 or float64.

    Returns
    -------
    bool
        Whether all of `y` is finite. Behind the first number that is not, `y` may be unset.
    """
    cdef given_t g
    cdef intptr_t n = cnp.PyArray_SIZE(y)
    cdef int item = cnp.PyArray_ITEMSIZE(y)
    cdef bint good
    g.data = NULL
    if x is not y:
        describe(x, &g)
        # what is not converted here NumPy converts
        if not cnp.PyArray_ISCARRAY_RO(x) or not convert(&g, <double *>NULL, 0, 0):
            if cnp.PyArray_CopyInto(y, x) < 0:
                return False
            g.data = NULL
    with nogil:
        good = (converted(&g, <float *>cnp.PyArray_DATA(y), n, FLT_MAX) if item == 4
                else converted(&g, <double *>cnp.PyArray_DATA(y), n, DBL_MAX))
    return good


cdef bint good(const port_t *p, const char *data, intptr_t n) noexcept nogil:
    # whether elements are what the port takes
    if not p.checked:
        return True
    if p.kind == c"i":
        return between(<const int64_t *>data, n, p.low, p.high, p.ends, p.other)
    if p.itemsize == 4:
        return between(<const float *>data, n, p.low, p.high, p.ends, p.other)
    return between(<const double *>data, n, p.low, p.high, p.ends, p.other)


cdef bint listed(object values, const intptr_t *dims, int ndim, intptr_t first, intptr_t n, target_t **y) except -1:
    # elements of nested lists of numbers, in their order; False where they hold anything else, or are of other lengths
    cdef intptr_t i
    cdef int overflow = 0
    cdef int64_t whole, exact = 1 << 53
    cdef object value
    for i in range(first, first + n):
        value = values[i]
        if ndim:
            if (type(value) is not list and type(value) is not tuple) or len(value) != dims[0]:
                return False
            if not listed(value, dims + 1, ndim - 1, 0, dims[0], y):
                return False
            continue
        if type(value) is int:
            # what a double holds: elsewhere it matters which array NumPy makes of all elements
            whole = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow or not -exact <= whole <= exact:
                return False
            y[0][0] = <target_t>whole
        elif target_t is not int64_t and type(value) is float:
            y[0][0] = <target_t><double>value
        else:
            return False
        y[0] += 1
    return True


cdef bint unpack(const port_t *p, const given_t *g, intptr_t first, intptr_t rows) noexcept with gil:
    # convert nested lists; another thread may change them meanwhile
    cdef void *end = p.room
    cdef object values = <object>g.values
    try:
        if p.kind == c"u":
            return False
        if p.kind == c"i":
            return listed(values, p.dims, p.ndim, first, rows, <int64_t **>&end)
        if p.itemsize == 4:
            return listed(values, p.dims, p.ndim, first, rows, <float **>&end)
        return listed(values, p.dims, p.ndim, first, rows, <double **>&end)
    except IndexError:
        return False


cdef int set_attributes(list triples) except -1:
    for target, name, value in triples:
        setattr(target, name, value)
    return 0


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
        Counts the steps: of `run_steps` and of entries with an optimizer, and of `run` if it is told that it is one.
    turns : object, optional
        Its attribute ``stage`` is "step" while a handler of a signal runs in the middle of the calls.
    views : list of tuple, optional
        ``(buffer, parent, fixed, per_row)`` for each buffer that lies in another one: where, in bytes,
        ``fixed + per_row * batch``. A parent is no view.
    accumulated : None or (ndarray of int64, shape (1,), int, int)
        Where several steps make an update: how many there were since the last one, which is counted here; how many
        make one; and the call up to which all the others go. A step that begins there makes an update of what there is.
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
    cdef double work              # nanoseconds of all calls, roughly
    cdef double budget            # nanoseconds of work until the clock is looked at
    cdef double last_check
    cdef object pending
    cdef bint busy
    cdef object turns             # told when Python runs within a step: a handler of a signal
    cdef object counted           # owns the memory behind `counter`
    cdef int64_t *counter
    cdef object pending_steps     # owns the memory behind `waiting`
    cdef int64_t *waiting         # steps since the last update
    cdef int64_t together         # that make an update
    cdef int apply                # the first call of those that wait for it
    cdef public object keep       # what owns the memory behind the addresses

    def __cinit__(self, list calls, intptr_t n_buffers, intptr_t pool=0, bint portable=False,
                  cnp.ndarray counter=None, turns=None, views=(), accumulated=None):
        cdef intptr_t i, p = 0, s = 0, a = 0
        self.together = 1
        if accumulated is not None:
            self.pending_steps, self.together, self.apply = accumulated
            self.waiting = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self.pending_steps)
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
        self.work = 0
        for i in range(self.n_calls):
            self.calls[i].cost = self.costs[2 * i] + self.costs[2 * i + 1] * batch
            self.work += self.calls[i].cost
        for i in range(self.n_views):
            if self.views[i].per_row:
                self.follow(&self.views[i])

    cdef bint interrupted(self) noexcept with gil:
        self.end()
        try:
            if self.turns is not None:
                self.turns.stage = "step"
            PyErr_CheckSignals()
        except BaseException as error:
            self.pending = error
        if self.turns is not None:
            self.turns.stage = ""
        self.begin()
        return self.pending is not None

    cdef void begin(self) noexcept nogil:
        # what comes before calls
        if self.portable:
            self.found = fastbp_set_control(FASTBP_IEEE)

    cdef void end(self) noexcept nogil:
        # what comes after them
        if self.portable:
            fastbp_set_control(self.found)

    cdef int execute(self, int first, int last, int commit, bint counted) noexcept nogil:
        cdef int status
        self.begin()
        status = self.step_through(first, last, commit) if counted else self.run_calls(first, last, commit)
        self.end()
        return status

    cdef int step_through(self, int first, int last, int commit) noexcept nogil:
        # a whole step, and its count: no handler of a signal comes between the two
        cdef int status
        if self.together > 1 and first < self.apply and self.waiting[0] + 1 < self.together:
            status = self.run_calls(first, self.apply if self.apply < last else last, commit)
            if status == FASTBP_OK:
                self.waiting[0] += 1
            return status
        status = self.run_calls(first, last, commit)
        if status != FASTBP_OK:
            return status
        if self.counter is not NULL:
            self.counter[0] += 1
        if self.together > 1:
            self.waiting[0] = 0
        return status

    cdef int run_calls(self, int first, int last, int commit) noexcept nogil:
        # calls from `commit` on write parameters: once begun they run to the end
        cdef int i, status
        cdef double t
        cdef call_t *call
        cdef share_t shared
        for i in range(first, last):
            call = &self.calls[i]
            if (call.operands and self.sizes[call.sizes + call.cut] * call.width >= FASTBP_SHARED
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
                if self.last_check == 0:
                    self.last_check = t
                elif t - self.last_check > 0.02:
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
        self.last_check = 0
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
            status = self.execute(first, last, commit, counted)
        return self.leave(status)

    def run_steps(self, int first, int last, int commit, intptr_t rows, intptr_t batch, list cursors,
                  list arrays, on_pause=None, double interval=0.1):
        """Run the calls once for each batch of `rows`; the last batch may be smaller.

        Parameters
        ----------
        first, last, commit : int
            The calls; from `commit` on a step is not interrupted.
        cursors : list of (buffer, bytes per step, bytes per row)
            Buffers that are in an array during the run, and by how much they move on after every step.
        arrays : list of ndarray
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
        cdef int status = FASTBP_OK, i, n_cursors = len(cursors), n_moving = 0
        cdef intptr_t done = 0, count
        cdef double last_pause = fastbp_now()
        self.steps = 0
        if n_cursors > CURSORS:
            raise ValueError(f"at most {CURSORS} cursors, got {n_cursors}")
        for i in range(n_cursors):
            number, moving[i].per_step, moving[i].per_row = cursors[i]
            array = arrays[i]
            if not 0 <= number < self.n_buffers:
                raise ValueError(f"buffer is {number}; there are {self.n_buffers}")
            moving[i].buffer = number
            starts[i] = <char *>cnp.PyArray_DATA(array)
        self.enter()
        for i in range(n_cursors):
            starts[i], address = self.addresses[moving[i].buffer], starts[i]
            self.move(moving[i].buffer, address)
            if moving[i].per_step or moving[i].per_row:
                # those that move come first
                moving[i], moving[n_moving] = moving[n_moving], moving[i]
                starts[i], starts[n_moving] = starts[n_moving], starts[i]
                n_moving += 1
        try:
            with nogil:
                self.begin()
                while done < rows:
                    count = rows - done if rows - done < batch else batch
                    self.resize(count)
                    status = self.step_through(first, last, commit)
                    if status != FASTBP_OK:
                        break
                    done += count
                    self.steps += 1
                    for i in range(n_moving):
                        self.move(moving[i].buffer, self.addresses[moving[i].buffer]
                                  + moving[i].per_step + moving[i].per_row * count)
                    if self.last_check - last_pause > interval:
                        last_pause = self.last_check
                        self.end()
                        with gil:
                            if on_pause is not None:
                                on_pause(self.steps)
                        self.begin()
                self.end()
        finally:
            for i in range(n_cursors):
                self.move(moving[i].buffer, starts[i])
            self.busy = False
        return self.leave(status)


cdef class Entry:
    """Calls of a runner on arrays that are taken by ports, with no Python around them: what a model tries first.

    A port takes an array, or nested lists of numbers, that need no explanation. Where something else is given, or
    somebody uses the model, an entry does nothing and returns None: its caller then goes the long way, which converts,
    waits or says what is wrong.

    Parameters
    ----------
    runner : Runner
    ports : list of tuple
        ``(buffer, room, own, dims, low, high, ends, other)`` for each array: its buffer; memory of its dtype for as
        many rows as a batch may have, where others are converted; the buffer's own memory if arrays are copied, else
        None; the shape of a row; and what each element must be (if `low` is None, anything): from `low` to `high`, or
        with `ends` one of the two, or else `other`.
    results : list of (buffer, dtype, shape or None)
        What is returned: True if there is none; a float; or, where there are shapes of a row, new arrays with all rows,
        of several a list.
    span : (int, int, int)
        First and last call, and from which on they are not interrupted.
    capacity : int
        The rows that a batch may have.
    turn : tuple
        ``(turns, name, engine, optimizer, hands, before, after)`` of `Turns`. An entry whose name is None only reads
        the model, and begins if nobody changes it. Else it begins if nobody uses the model, the layers of the engine
        (if that is not None) have not changed, and the last of the steps by hand is one of `hands` (if that is not
        None: then it goes on with that batch). With an optimizer it counts as a step, for which the learning rate is
        prepared. `before` and `after` are lists of (object, name, value) to set.
    """

    cdef Runner runner
    cdef port_t ports[PORTS]
    cdef int n_ports
    cdef int first, last, commit
    cdef intptr_t capacity
    cdef result_t results[PORTS]
    cdef int n_results
    cdef bint by_rows              # whether arrays are returned
    cdef object turns, name, engine, optimizer, hands
    cdef list before, after
    cdef dict turn, readers
    cdef bint apart                # whether the calls write the results where they are returned, block by block
    cdef bint counted
    cdef object keep               # what owns the memory behind the addresses

    def __cinit__(self, Runner runner, list ports, list results, tuple span, intptr_t capacity, tuple turn):
        cdef port_t *p
        cdef result_t *r
        cdef cnp.ndarray room, own
        self.runner, self.capacity, self.n_ports, self.keep = runner, capacity, len(ports), ports
        self.first, self.last, self.commit = span
        if self.n_ports > PORTS:
            raise ValueError(f"at most {PORTS} ports, got {self.n_ports}")
        for i, (buffer, room, own, dims, low, high, ends, other) in enumerate(ports):
            p = &self.ports[i]
            p.buffer, p.room, p.ndim, p.row = buffer, <char *>cnp.PyArray_DATA(room), len(dims), 1
            p.own = NULL if own is None else <char *>cnp.PyArray_DATA(own)
            p.home = p.room if own is None else p.own
            p.kind, p.itemsize = ord(room.dtype.kind), cnp.PyArray_ITEMSIZE(room)
            if p.ndim > DIMS:
                raise ValueError(f"at most {DIMS} dimensions of a row, got {p.ndim}")
            for k, n in enumerate(dims):
                p.dims[k] = n
                p.row *= n
            p.checked = low is not None
            if p.checked and p.kind == c"u":
                raise ValueError("a port of bytes takes any of them; it has bounds")
            if p.checked:
                p.low, p.high, p.ends, p.other = low, high, ends, low if other is None else other
        self.n_results, self.by_rows = len(results), False
        if self.n_results > PORTS:
            raise ValueError(f"at most {PORTS} results, got {self.n_results}")
        for i, (buffer, dtype, shape) in enumerate(results):
            r = &self.results[i]
            r.buffer, r.typenum, r.row, r.ndim = buffer, dtype.num, dtype.itemsize, len(shape or ())
            self.by_rows = shape is not None
            if r.ndim > DIMS:
                raise ValueError(f"at most {DIMS} dimensions of a row, got {r.ndim}")
            for k, n in enumerate(shape or ()):
                r.dims[k] = n
                r.row *= n
        self.turns, self.name, self.engine, self.optimizer, self.hands, self.before, self.after = turn
        self.turn, self.readers = self.turns.turn, self.turns.readers
        self.counted = self.optimizer is not None
        self.apart = self.by_rows and self.name is None

    @property
    def run(self):
        """Function of an array for each port, or of these and `block`: the most rows that are computed at a time."""
        return PyCFunction_NewEx(&fastbp_run, self, NULL)

    @property
    def fits(self):
        """Function of an array for each port: whether they can be used as they are, without a copy."""
        return PyCFunction_NewEx(&fastbp_fits, self, NULL)

    cdef intptr_t look(self, const port_t *p, object x, given_t *g):
        # the rows of `x`, and where they lie; -1 where that is not for us
        cdef cnp.ndarray array
        cdef int i
        g.values = <PyObject *>x
        if type(x) is list or type(x) is tuple:
            g.data = NULL
            return len(x) or -1
        if not cnp.PyArray_CheckExact(x):
            return -1
        array = <cnp.ndarray>x
        if cnp.PyArray_NDIM(array) != p.ndim + 1 or not cnp.PyArray_ISCARRAY_RO(array):
            return -1
        for i in range(p.ndim):
            if cnp.PyArray_DIM(array, i + 1) != p.dims[i]:
                return -1
        describe(array, g)
        return cnp.PyArray_DIM(array, 0) or -1

    cdef bint load(self, const port_t *p, const given_t *g, intptr_t first, intptr_t rows) noexcept nogil:
        # let the buffer be some rows of what is given; False where that is not for us
        cdef intptr_t n = rows * p.row
        cdef const char *address = p.room
        if g.data is NULL:
            if not unpack(p, g, first, rows):
                return False
        elif g.kind == p.kind and g.itemsize == p.itemsize:
            address = g.data + first * p.row * p.itemsize
        elif p.kind == c"u":
            return False  # a conversion would wrap
        elif not (convert(g, <float *>p.room, first * p.row, n) if p.kind == c"f" and p.itemsize == 4
                  else convert(g, <double *>p.room, first * p.row, n) if p.kind == c"f"
                  else convert(g, <int64_t *>p.room, first * p.row, n)):
            return False
        if not good(p, address, n):
            return False
        if p.own is not NULL:
            memcpy(p.own, address, n * p.itemsize)
            address = p.own
        self.runner.move(p.buffer, <char *>address)
        return True

    cdef object take(self, PyObject **arguments, Py_ssize_t n):
        cdef object mine, found
        if self.name is None:
            return self.read(arguments, n)
        mine = (PyThread_get_thread_ident(), self.name)
        if self.turn or self.readers or (self.engine is not None and self.engine.changed):
            return None
        if self.hands is not None and self.turns.hand not in self.hands:
            return None
        # from here to the end handlers of signals run where the calls, or the optimizer, let them and nowhere else
        self.turn["turn"] = mine
        try:
            if self.optimizer is not None and self.optimizer.schedule is not None:
                self.optimizer.prepare()
            found = self.compute(arguments, n)
            if found is not None:
                set_attributes(self.after)
            return found
        finally:
            del self.turn["turn"]

    cdef object read(self, PyObject **arguments, Py_ssize_t n):
        # first among the readers: whoever takes the turn from here on waits
        self.readers[self] = PyThread_get_thread_ident()
        try:
            return None if self.turn else self.compute(arguments, n)
        finally:
            del self.readers[self]

    cdef object compute(self, PyObject **arguments, Py_ssize_t n):
        cdef Runner runner = self.runner
        cdef given_t given[PORTS]
        cdef cnp.npy_intp shape[DIMS + 1]
        # a step by hand goes on with the batch of the one before
        cdef intptr_t rows = -1 if self.hands is None else runner.batch
        cdef intptr_t block = self.capacity, count
        cdef cnp.ndarray out = None
        cdef list several = None
        cdef result_t *r
        cdef int i, k, status
        if n != self.n_ports and n != self.n_ports + 1:
            raise TypeError(f"arguments are taken for {self.n_ports} ports, got {n}")
        if n > self.n_ports:
            try:
                block = <object>arguments[self.n_ports]
            except OverflowError:
                return None
        for i in range(self.n_ports):
            count = self.look(&self.ports[i], <object>arguments[i], &given[i])
            if count < 0 or (count != rows and rows >= 0):
                return None
            rows = count
        count = rows if rows < block else block
        if count <= 0 or count > self.capacity or (count < rows and not self.apart):
            return None
        for i in range(self.n_ports):
            if not self.load(&self.ports[i], &given[i], 0, count):
                return None
        if self.by_rows:
            shape[0] = rows
            several = [] if self.n_results > 1 else None
            for i in range(self.n_results):
                r = &self.results[i]
                for k in range(r.ndim):
                    shape[k + 1] = r.dims[k]
                out = cnp.PyArray_EMPTY(r.ndim + 1, shape, r.typenum, 0)
                r.target = <char *>cnp.PyArray_DATA(out)
                if several is not None:
                    several.append(out)
        set_attributes(self.before)
        runner.enter()
        runner.resize(count)
        if count == rows and runner.work < BRIEF:
            status = self.run_blocks(given, rows, count)
        else:
            with nogil:
                status = self.run_blocks(given, rows, count)
        for i in range(self.n_ports):
            # what was given is the caller's
            runner.move(self.ports[i].buffer, self.ports[i].home)
        if runner.leave(status) != FASTBP_OK:
            return None
        if self.n_results == 0:
            return True
        r = &self.results[0]
        if self.by_rows:
            if not self.apart:
                for i in range(self.n_results):
                    memcpy(self.results[i].target, runner.addresses[self.results[i].buffer], rows * self.results[i].row)
            return out if several is None else several
        if r.typenum == cnp.NPY_FLOAT:
            return (<float *>runner.addresses[r.buffer])[0]
        return (<double *>runner.addresses[r.buffer])[0]

    cdef int run_blocks(self, const given_t *given, intptr_t rows, intptr_t block) noexcept nogil:
        # the calls on block after block; the first one is loaded
        cdef intptr_t done = 0, count = block
        cdef int i, status
        while True:
            if self.apart:
                for i in range(self.n_results):
                    self.runner.move(self.results[i].buffer, self.results[i].target + done * self.results[i].row)
            status = self.runner.execute(self.first, self.last, self.commit, self.counted)
            done += count
            if done == rows or status != FASTBP_OK:
                return status
            count = rows - done if rows - done < block else block
            for i in range(self.n_ports):
                if not self.load(&self.ports[i], &given[i], done, count):
                    return REFUSED
            self.runner.resize(count)

    cdef bint all_fit(self, PyObject **arguments, Py_ssize_t n):
        cdef given_t g
        cdef const port_t *p
        cdef intptr_t rows = -1, count
        cdef int i
        if n != self.n_ports:
            raise TypeError(f"arguments are taken for {self.n_ports} ports, got {n}")
        for i in range(self.n_ports):
            p = &self.ports[i]
            count = self.look(p, <object>arguments[i], &g)
            if count < 0 or (count != rows and rows >= 0) or count * p.row > LOOKED_AT:
                return False
            if g.data is NULL or g.kind != p.kind or g.itemsize != p.itemsize or not good(p, g.data, count * p.row):
                return False
            rows = count
        return True


cdef object run_(Entry self, PyObject **arguments, Py_ssize_t n):
    return self.take(arguments, n)


cdef object fits_(Entry self, PyObject **arguments, Py_ssize_t n):
    return self.all_fit(arguments, n)


fastbp_run.ml_meth = <PyCFunction><void *>run_
fastbp_fits.ml_meth = <PyCFunction><void *>fits_
