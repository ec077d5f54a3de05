/* Kernels as functions of arrays, at the price of a NumPy ufunc: one entry for all of them, and a description of each.
 *
 * What is usual is done here: arrays that a kernel can take as they are, numbers, words. All else (lists, strides,
 * other dtypes, whatever is wrong) is left to the kernel's function in Python, which converts it or says what is wrong.
 *
 * A function of C has a module for its `self`, and its name in that module is how it is pickled. So it is here: each
 * function has a module, whose state is the description. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "numpy/arrayobject.h"

#include "abi.h"
#include "fpcontrol.h"

enum {
    OPERANDS = 16,
    SIZES = 16,
    RANK = 8,
    VALUES = 1024,
    ATTRIBUTES = 16, /* of a kernel with lengths that follow from them */
    BACKENDS = 4,
    NUMERICS = 2,
    UNLOCKED = 500, /* elements from which others may run meanwhile, as for NumPy's ufuncs */
    ANY = -1,       /* the rank of what may have any shape */
    UNTYPED = -1    /* the type of an operand that has the real type of the call */
};

typedef struct {
    int type;             /* a type number of NumPy's, or UNTYPED */
    int rank, dims[RANK]; /* which size each dimension is, or ~length where that is fixed; of ANY the whole */
    int work;             /* memory to work in */
    unsigned shares;      /* bit k: an output that may lie where operand k does */
} operand;

typedef struct {
    PyMethodDef method;
    PyObject *name, *doc, *names, *backends, *numerics; /* bytes, bytes, and tuples of interned str */
    PyObject *bounds;  /* for each attribute None, or a function that tells whether a number may be one */
    PyObject *find, *fail, *otherwise;
    PyObject *lengths; /* None, or a function of sizes, where some follow from others and from attributes: all sizes */
    struct { /* what it was last asked for, and said: shapes are mostly those of the call before */
        int there;
        intptr_t given[SIZES], all[SIZES];
        double attributes[ATTRIBUTES];
    } last;
    int n_inputs, n_operands, n_results, n_sizes, n_attributes, n_values;
    int apart; /* what may fail halfway writes into no array of the caller's */
    operand operands[OPERANDS];
    int results[OPERANDS];
    double *values; /* the attributes' defaults, behind what a kernel that is data has before them */
    fastbp_kernel kernels[BACKENDS][2];
    const fastbp_primitive *primitives[BACKENDS][NUMERICS][2];
    int skipped[BACKENDS]; /* how many of the values a backend's kernel does without */
} description;

typedef struct {
    int backend, portable, type;
    PyObject *inputs[OPERANDS], *targets[OPERANDS]; /* borrowed; a target is where a result is to be, or NULL */
    void *buffers[OPERANDS];
    npy_intp bytes[OPERANDS];
    union { /* for numbers that are in no array */
        double alignment;
        int64_t integer;
    } scalars[OPERANDS];
    intptr_t sizes[SIZES];
    int any_rank; /* of all operands of ANY rank, and their shape; negative before the first of them */
    const npy_intp *any_shape;
    const double *values;
    double given[VALUES];
    int asked; /* whether Python ran to say what lengths are */
} call;

static inline int type_of(const call *c, const operand *o) { return o->type == UNTYPED ? c->type : o->type; }

static inline npy_intp length(const call *c, int dim) { return dim < 0 ? ~dim : c->sizes[dim]; }

static inline int itemsize(int type) { return type == NPY_UINT8 ? 1 : type == NPY_FLOAT ? 4 : 8; }

/* A type that is computed in: that of an array, or of a NumPy scalar. */
static int number_type(PyObject *x) {
    if (PyArray_CheckExact(x)) return PyArray_TYPE((PyArrayObject *)x);
    if (Py_IS_TYPE(x, &PyFloatArrType_Type)) return NPY_FLOAT;
    if (Py_IS_TYPE(x, &PyDoubleArrType_Type)) return NPY_DOUBLE;
    if (Py_IS_TYPE(x, &PyUInt8ArrType_Type)) return NPY_UINT8;
    return Py_IS_TYPE(x, &PyInt64ArrType_Type) ? NPY_INT64 : UNTYPED;
}

/* Where a word is in a tuple, or -1. Words of a source are interned, those of a file are not. */
static int find_word(PyObject *words, PyObject *word) {
    const int n = (int)PyTuple_Size(words);
    for (int i = 0; i < n; i++)
        if (PyTuple_GetItem(words, i) == word) return i;
    if (PyUnicode_Check(word))
        for (int i = 0; i < n; i++)
            if (PyUnicode_Compare(PyTuple_GetItem(words, i), word) == 0) return i;
    return -1;
}

/* Whether the shape of an array is what the operand's is to be; sizes that are not known yet become known. */
static int fits(call *c, const operand *o, PyArrayObject *x) {
    const int rank = PyArray_NDIM(x);
    const npy_intp *shape = PyArray_DIMS(x);
    if (o->rank == ANY) {
        if (c->any_rank >= 0) return rank == c->any_rank && memcmp(shape, c->any_shape, rank * sizeof *shape) == 0;
        c->any_shape = shape;
        c->any_rank = rank;
        c->sizes[o->dims[0]] = PyArray_SIZE(x);
        return 1;
    }
    if (rank != o->rank) return 0;
    for (int i = 0; i < rank; i++) {
        const int dim = o->dims[i];
        if (dim >= 0 && c->sizes[dim] < 0) c->sizes[dim] = shape[i];
        if (shape[i] != length(c, dim)) return 0;
    }
    return 1;
}

static int take_input(call *c, const operand *o, int k) {
    PyObject *x = c->inputs[k];
    const int type = type_of(c, o);
    if (number_type(x) != type) return 0;
    if (PyArray_CheckExact(x)) {
        PyArrayObject *array = (PyArrayObject *)x;
        if (!PyArray_ISCARRAY_RO(array) || !fits(c, o, array)) return 0;
        c->buffers[k] = PyArray_DATA(array);
        c->bytes[k] = PyArray_NBYTES(array);
        return 1;
    }
    if (o->rank) return 0;
    PyArray_ScalarAsCtype(x, &c->scalars[k]);
    c->buffers[k] = &c->scalars[k];
    c->bytes[k] = itemsize(type);
    return 1;
}

#ifdef Py_GIL_DISABLED
static inline int remembers(const description *d) { return (void)d, 0; } /* another thread might be writing */
#else
static inline int remembers(const description *d) { return d->last.there; }
#endif

/* Find the sizes that follow from others, and see that those that are there fit; 0 where they do not. */
static int complete(description *d, call *c) {
    const double *attributes = c->values + d->n_values - d->n_attributes;
    const size_t sizes = d->n_sizes * sizeof *c->sizes, numbers = d->n_attributes * sizeof *attributes;
    intptr_t all[SIZES];
    if (remembers(d) && !memcmp(d->last.given, c->sizes, sizes) && !memcmp(d->last.attributes, attributes, numbers)) {
        memcpy(c->sizes, d->last.all, sizes);
        return 1;
    }
    PyObject *given = PyTuple_New(d->n_sizes), *values = PyTuple_New(d->n_attributes), *found = NULL;
    for (int i = 0; given && i < d->n_sizes; i++) PyTuple_SetItem(given, i, PyLong_FromSsize_t(c->sizes[i]));
    for (int k = 0; values && k < d->n_attributes; k++) PyTuple_SetItem(values, k, PyFloat_FromDouble(attributes[k]));
    if (given && values && !PyErr_Occurred()) found = PyObject_CallFunctionObjArgs(d->lengths, given, values, NULL);
    int ok = found && PyTuple_Check(found) && PyTuple_Size(found) == d->n_sizes;
    for (int i = 0; ok && i < d->n_sizes; i++) ok = (all[i] = PyLong_AsSsize_t(PyTuple_GetItem(found, i))) >= 0;
    Py_XDECREF(given);
    Py_XDECREF(values);
    Py_XDECREF(found);
    if (!ok) return 0;
    memcpy(d->last.given, c->sizes, sizes);
    memcpy(d->last.attributes, attributes, numbers);
    memcpy(d->last.all, all, sizes);
    memcpy(c->sizes, all, sizes);
    d->last.there = c->asked = 1;
    return 1;
}

static int take_attribute(const description *d, call *c, int k, PyObject *value) {
    double number;
    if (PyFloat_CheckExact(value) || Py_IS_TYPE(value, &PyDoubleArrType_Type)) {
        number = PyFloat_AsDouble(value);
    } else if (PyLong_CheckExact(value) || PyBool_Check(value)) {
        number = PyLong_AsDouble(value);
        if (number == -1 && PyErr_Occurred()) return 0;
    } else {
        return 0;
    }
    PyObject *bound = PyTuple_GetItem(d->bounds, k);
    if (bound != Py_None && !(remembers(d) && number == d->last.attributes[k])) {
        PyObject *argument = PyFloat_FromDouble(number), *holds = NULL;
        if (argument) holds = PyObject_CallFunctionObjArgs(bound, argument, NULL);
        const int inside = holds ? PyObject_IsTrue(holds) : 0;
        Py_XDECREF(argument);
        Py_XDECREF(holds);
        if (inside != 1) return 0;
    }
    if (c->values != c->given) c->values = memcpy(c->given, d->values, d->n_values * sizeof *d->values);
    c->given[d->n_values - d->n_attributes + k] = number;
    return 1;
}

static int take_target(const description *d, call *c, int i, PyObject *target) {
    const operand *o = &d->operands[d->results[i]];
    if (target == Py_None) return 1;
    if (!PyArray_CheckExact(target)) return 0;
    PyArrayObject *array = (PyArrayObject *)target;
    c->targets[i] = target;
    return PyArray_TYPE(array) == type_of(c, o) && PyArray_ISCARRAY(array) && fits(c, o, array);
}

static int take_out(const description *d, call *c, PyObject *out) {
    if (PyArray_CheckExact(out)) return d->n_results == 1 && take_target(d, c, 0, out);
    if (!PyTuple_CheckExact(out) || PyTuple_Size(out) != d->n_results) return 0;
    for (int i = 0; i < d->n_results; i++)
        if (!take_target(d, c, i, PyTuple_GetItem(out, i))) return 0;
    return 1;
}

/* Take the arguments of a call; 0 where one is not usual. */
static int take(description *d, call *c, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    const int n_keywords = keywords ? (int)PyTuple_Size(keywords) : 0;
    PyObject *out = Py_None;
    if (n > d->n_inputs) return 0;
    for (int k = 0; k < d->n_inputs; k++) c->inputs[k] = k < n ? args[k] : NULL;
    for (int i = 0; i < d->n_results; i++) c->targets[i] = NULL;
    for (int i = 0; i < d->n_sizes; i++) c->sizes[i] = -1;
    c->values = d->values;
    c->backend = c->portable = 0;
    c->any_rank = -1;
    c->asked = 0;
    for (int i = 0; i < n_keywords; i++) {
        PyObject *value = args[n + i];
        const int word = find_word(d->names, PyTuple_GetItem(keywords, i));
        switch (word - d->n_inputs) {
        case 0: out = value; break;
        case 1:
            if (value != Py_None && (c->backend = find_word(d->backends, value)) < 0) return 0;
            break;
        case 2:
            if ((c->portable = find_word(d->numerics, value)) < 0) return 0;
            break;
        default:
            if (word < 0) return 0;
            if (word < d->n_inputs) {
                if (c->inputs[word]) return 0;
                c->inputs[word] = value;
            } else if (!take_attribute(d, c, word - d->n_inputs - 3, value)) {
                return 0;
            }
        }
    }
    c->type = UNTYPED;
    for (int k = 0; k < d->n_inputs; k++) {
        if (!c->inputs[k]) return 0;
        if (c->type == UNTYPED && d->operands[k].type == UNTYPED) {
            c->type = number_type(c->inputs[k]);
            if (c->type != NPY_FLOAT && c->type != NPY_DOUBLE) return 0;
        }
    }
    if (c->type == UNTYPED) c->type = NPY_DOUBLE;
    for (int k = 0; k < d->n_inputs; k++)
        if (!take_input(c, &d->operands[k], k)) return 0;
    if (d->lengths != Py_None && !complete(d, c)) return 0;
    for (int i = 0; i < d->n_sizes; i++)
        if (c->sizes[i] < 0) return 0;
    return out == Py_None || take_out(d, c, out);
}

/* Find the kernel and the primitives of a call, the first time. */
static int find(description *d, const call *c) {
    const int wide = c->type == NPY_DOUBLE;
    unsigned long long kernel, primitives;
    int skipped;
    PyObject *found = PyObject_CallFunction(d->find, "OOs", PyTuple_GetItem(d->backends, c->backend),
                                            PyTuple_GetItem(d->numerics, c->portable), wide ? "float64" : "float32");
    const int ok = found && PyArg_ParseTuple(found, "KKi", &kernel, &primitives, &skipped);
    Py_XDECREF(found);
    if (!ok) return 0;
    d->skipped[c->backend] = skipped;
    d->kernels[c->backend][wide] = (fastbp_kernel)(uintptr_t)kernel;
    d->primitives[c->backend][c->portable][wide] = (const fastbp_primitive *)(uintptr_t)primitives;
    return 1;
}

static inline int overlap(const void *a, npy_intp a_bytes, const void *b, npy_intp b_bytes) {
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

/* Whether a result may be written into its target at once: it shares no memory, or as the row allows. */
static int direct(const description *d, const call *c, int i) {
    const int k = d->results[i];
    const void *start = PyArray_DATA((PyArrayObject *)c->targets[i]);
    const npy_intp bytes = PyArray_NBYTES((PyArrayObject *)c->targets[i]);
    if (d->apart) return 0;
    for (int j = 0; j < d->n_inputs; j++) {
        const int same = start == c->buffers[j] && bytes == c->bytes[j];
        if (same && (j == k || d->operands[k].shares >> j & 1)) continue;
        if (overlap(start, bytes, c->buffers[j], c->bytes[j])) return 0;
    }
    for (int j = 0; j < i; j++) {
        PyArrayObject *other = (PyArrayObject *)c->targets[j];
        if (other && overlap(start, bytes, PyArray_DATA(other), PyArray_NBYTES(other))) return 0;
    }
    return 1;
}

/* Return a new array for an output. */
static PyObject *new_array(const call *c, const operand *o) {
    npy_intp shape[RANK];
    if (o->rank == ANY) return PyArray_SimpleNew(c->any_rank, (npy_intp *)c->any_shape, type_of(c, o));
    for (int i = 0; i < o->rank; i++) shape[i] = length(c, o->dims[i]);
    return PyArray_SimpleNew(o->rank, shape, type_of(c, o));
}

/* Make the arrays that results are computed in, and have an operand that is updated begin with its value. A number that
 * has no target needs none. */
static int make_results(const description *d, call *c, PyObject **made) {
    void *updated[OPERANDS];
    for (int i = 0; i < d->n_results; i++) {
        const int k = d->results[i];
        const operand *o = &d->operands[k];
        updated[i] = &c->scalars[k];
        if (!c->targets[i] && o->rank == 0) continue;
        if (c->targets[i] && direct(d, c, i)) {
            Py_INCREF(c->targets[i]);
            made[i] = c->targets[i];
        } else if (!(made[i] = new_array(c, o))) {
            return 0;
        }
        updated[i] = PyArray_DATA((PyArrayObject *)made[i]);
    }
    /* from here on nothing is compared with the inputs' own memory */
    for (int i = 0; i < d->n_results; i++) {
        const int k = d->results[i];
        if (k < d->n_inputs && c->buffers[k] != updated[i]) memcpy(updated[i], c->buffers[k], c->bytes[k]);
        c->buffers[k] = updated[i];
    }
    return 1;
}

/* Whether an input is copied: labels are looked at before they are used, and in between others may change them. */
static int copied(const description *d, int k) {
    if (!d->apart || k >= d->n_inputs || d->operands[k].type != NPY_INT64) return 0;
    for (int i = 0; i < d->n_results; i++)
        if (d->results[i] == k) return 0; /* it lies apart already */
    return 1;
}

/* Give the operands that are memory to work in, or copies, their parts of one block, and return it; NULL if there is no
 * memory. */
static char *make_work(const description *d, call *c) {
    npy_intp total = 0, offsets[OPERANDS];
    for (int k = 0; k < d->n_inputs; k++) {
        offsets[k] = total;
        if (copied(d, k)) total += (c->bytes[k] + 63) / 64 * 64;
    }
    for (int k = d->n_inputs; k < d->n_operands; k++) {
        const operand *o = &d->operands[k];
        if (!o->work) continue;
        const int rank = o->rank == ANY ? 1 : o->rank;
        npy_intp bytes = itemsize(type_of(c, o));
        for (int i = 0; i < rank; i++)
            if (__builtin_mul_overflow(bytes, length(c, o->dims[i]), &bytes)) return NULL;
        offsets[k] = total;
        total += (bytes + 63) / 64 * 64;
    }
    char *block = PyMem_Malloc(total);
    for (int k = 0; block && k < d->n_inputs; k++)
        if (copied(d, k)) c->buffers[k] = memcpy(block + offsets[k], c->buffers[k], c->bytes[k]);
    for (int k = d->n_inputs; block && k < d->n_operands; k++)
        if (d->operands[k].work) c->buffers[k] = block + offsets[k];
    return block;
}

static int run(const description *d, call *c) {
    const int wide = c->type == NPY_DOUBLE;
    const fastbp_kernel kernel = d->kernels[c->backend][wide];
    const fastbp_primitive *primitives = d->primitives[c->backend][c->portable][wide];
    fastbp_control found = FASTBP_IEEE;
    PyThreadState *thread = NULL;
    double elements = 1;
    for (int i = 0; i < d->n_sizes; i++) elements *= c->sizes[i] ? (double)c->sizes[i] : 1; /* of some work there is none */
    if (elements > UNLOCKED) thread = PyEval_SaveThread();
    if (c->portable) found = fastbp_set_control(FASTBP_IEEE);
    const int status = kernel(c->buffers, c->sizes, c->values + d->skipped[c->backend], primitives);
    if (c->portable) fastbp_set_control(found);
    if (thread) PyEval_RestoreThread(thread);
    return status;
}

/* Return result i as a new reference, in the array where it is to be. */
static PyObject *finish(const description *d, call *c, int i, PyObject **made) {
    const int k = d->results[i];
    PyObject *array = made[i];
    if (!array) {
        PyArray_Descr *type = PyArray_DescrFromType(type_of(c, &d->operands[k]));
        PyObject *scalar = PyArray_Scalar(c->buffers[k], type, NULL);
        Py_DECREF(type);
        return scalar;
    }
    made[i] = NULL;
    if (!c->targets[i]) return PyArray_Return((PyArrayObject *)array);
    if (array != c->targets[i]) {
        PyArrayObject *target = (PyArrayObject *)c->targets[i];
        memcpy(PyArray_DATA(target), PyArray_DATA((PyArrayObject *)array), PyArray_NBYTES(target));
        Py_DECREF(array);
        Py_INCREF(c->targets[i]);
    }
    return c->targets[i];
}

static PyObject *finish_all(const description *d, call *c, PyObject **made) {
    if (d->n_results == 0) Py_RETURN_NONE;
    if (d->n_results == 1) return finish(d, c, 0, made);
    PyObject *results = PyTuple_New(d->n_results);
    for (int i = 0; results && i < d->n_results; i++) {
        PyObject *result = finish(d, c, i, made);
        if (!result) Py_CLEAR(results);
        else PyTuple_SetItem(results, i, result);
    }
    return results;
}

static PyObject *do_usual(description *d, call *c) {
    PyObject *made[OPERANDS] = {NULL}, *result = NULL;
    char *work = NULL;
    if (!make_results(d, c, made)) goto end;
    if (!(work = make_work(d, c))) {
        PyErr_NoMemory();
        goto end;
    }
    const int status = run(d, c);
    result = status ? PyObject_CallFunction(d->fail, "i", status) : finish_all(d, c, made);
end:
    PyMem_Free(work);
    for (int i = 0; i < d->n_results; i++) Py_XDECREF(made[i]);
    return result;
}

/* Leave a call to the function in Python. */
static PyObject *do_otherwise(const description *d, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    if (d->otherwise == Py_None) Py_RETURN_NOTIMPLEMENTED;
    const Py_ssize_t n_keywords = keywords ? PyTuple_Size(keywords) : 0;
    PyObject *positional = PyTuple_New(n), *named = PyDict_New(), *result = NULL;
    if (!positional || !named) goto end;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_INCREF(args[i]);
        PyTuple_SetItem(positional, i, args[i]);
    }
    for (Py_ssize_t i = 0; i < n_keywords; i++)
        if (PyDict_SetItem(named, PyTuple_GetItem(keywords, i), args[n + i])) goto end;
    result = PyObject_Call(d->otherwise, positional, named);
end:
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

static PyObject *entry(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *keywords) {
    description *d = PyModule_GetState(self);
    call c;
    int usual = take(d, &c, args, n, keywords);
    const int unknown = usual && !d->primitives[c.backend][c.portable][c.type == NPY_DOUBLE];
    if (unknown && !find(d, &c)) return NULL;
    if (usual && (unknown || c.asked)) usual = take(d, &c, args, n, keywords); /* again, as Python has run in between */
    if (usual) return do_usual(d, &c);
    PyErr_Clear();
    return do_otherwise(d, args, n, keywords);
}

static void release(void *self) {
    description *d = PyModule_GetState(self);
    PyObject *owned[] = {d->name,   d->doc,  d->names, d->backends, d->numerics,
                         d->bounds, d->find, d->fail,  d->otherwise, d->lengths};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) Py_XDECREF(owned[i]);
    PyMem_Free(d->values);
}

static struct PyModuleDef kernel_module = {
    PyModuleDef_HEAD_INIT, "fastbp.kernels", NULL, sizeof(description), NULL, NULL, NULL, NULL, release,
};

static int read_ints(PyObject *tuple, int *values, int most) {
    const int n = (int)PyTuple_Size(tuple);
    if (n > most) {
        PyErr_Format(PyExc_ValueError, "there are %d; there may be %d at most", n, most);
        return -1;
    }
    for (int i = 0; i < n; i++) values[i] = (int)PyLong_AsLong(PyTuple_GetItem(tuple, i));
    return n;
}

static int read_operand(PyObject *item, operand *o) {
    PyObject *dims;
    int any;
    if (!PyArg_ParseTuple(item, "iO!piI", &o->type, &PyTuple_Type, &dims, &any, &o->work, &o->shares)) return 0;
    o->rank = read_ints(dims, o->dims, RANK);
    if (o->rank < 0) return 0;
    if (any) o->rank = ANY;
    return 1;
}

static PyObject *interned(PyObject *words) {
    PyObject *tuple = PyTuple_New(PyTuple_Size(words));
    for (Py_ssize_t i = 0; tuple && i < PyTuple_Size(words); i++) {
        PyObject *word = PyTuple_GetItem(words, i);
        Py_INCREF(word);
        PyUnicode_InternInPlace(&word);
        PyTuple_SetItem(tuple, i, word);
    }
    return tuple;
}

static int describe(description *d, PyObject *args, PyObject *options) {
    static char *names[] = {"name",   "doc",      "operands", "n_inputs", "n_sizes", "results", "values", "names",
                            "bounds", "backends", "numerics", "apart",    "find",    "fail",    "otherwise", "lengths", NULL};
    PyObject *operands, *results, *values, *words, *backends, *numerics;
    PyObject *given[7] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, options, "$SSO!iiO!O!O!O!O!O!pOOOO", names, &given[0], &given[1],
                                     &PyTuple_Type, &operands, &d->n_inputs, &d->n_sizes, &PyTuple_Type, &results,
                                     &PyTuple_Type, &values, &PyTuple_Type, &words, &PyTuple_Type, &given[2],
                                     &PyTuple_Type, &backends, &PyTuple_Type, &numerics, &d->apart, &given[3],
                                     &given[4], &given[5], &given[6]))
        return 0;
    for (int i = 0; i < 7; i++) Py_INCREF(given[i]);
    d->name = given[0];
    d->doc = given[1];
    d->bounds = given[2];
    d->find = given[3];
    d->fail = given[4];
    d->otherwise = given[5];
    d->lengths = given[6];
    d->n_operands = (int)PyTuple_Size(operands);
    d->n_values = (int)PyTuple_Size(values);
    d->n_attributes = (int)PyTuple_Size(d->bounds);
    if (d->n_operands > OPERANDS || d->n_sizes > SIZES || d->n_values > VALUES || PyTuple_Size(backends) > BACKENDS) {
        PyErr_SetString(PyExc_ValueError, "a kernel has at most 16 buffers, 16 sizes and 1024 attributes");
        return 0;
    }
    if (d->lengths != Py_None && d->n_attributes > ATTRIBUTES) {
        PyErr_SetString(PyExc_ValueError, "a kernel whose lengths follow from attributes has at most 16 of them");
        return 0;
    }
    for (int k = 0; k < d->n_operands; k++)
        if (!read_operand(PyTuple_GetItem(operands, k), &d->operands[k])) return 0;
    if ((d->n_results = read_ints(results, d->results, OPERANDS)) < 0) return 0;
    if (!(d->values = PyMem_Calloc(d->n_values + 1, sizeof *d->values))) {
        PyErr_NoMemory();
        return 0;
    }
    for (int i = 0; i < d->n_values; i++) d->values[i] = PyFloat_AsDouble(PyTuple_GetItem(values, i));
    d->names = interned(words);
    d->backends = interned(backends);
    d->numerics = interned(numerics);
    if (PyErr_Occurred()) return 0;
    d->method.ml_name = PyBytes_AsString(d->name);
    d->method.ml_doc = PyBytes_AsString(d->doc);
    d->method.ml_meth = (PyCFunction)(void (*)(void))entry;
    d->method.ml_flags = METH_FASTCALL | METH_KEYWORDS;
    return 1;
}

PyDoc_STRVAR(make_doc, "Return a function of arrays; functions.py says of what it is made.");

static PyObject *make(PyObject *module, PyObject *args, PyObject *options) {
    PyObject *self = PyModule_Create(&kernel_module), *function = NULL, *where = NULL;
    (void)module;
    if (!self) return NULL;
    description *d = PyModule_GetState(self);
    if (describe(d, args, options) && (where = PyModule_GetNameObject(self)))
        function = PyCFunction_NewEx(&d->method, self, where);
    Py_XDECREF(where);
    Py_DECREF(self);
    return function;
}

static PyMethodDef methods[] = {
    {"make", (PyCFunction)(void (*)(void))make, METH_VARARGS | METH_KEYWORDS, make_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "entry", "The entry of kernels that are called on arrays.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_entry(void) {
    import_array();
    return PyModule_Create(&definition);
}
