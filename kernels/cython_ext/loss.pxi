# Losses: a value for the batch and the gradient of it. The attribute `mean` (1 or 0) comes first.

cdef inline real share(double numerator, const double *attributes, intptr_t count) noexcept nogil:
    # numerator / count for a mean, numerator for a sum: in double, then rounded once, as NumPy does
    return <real>(numerator / (<double>count if attributes[0] != 0 else 1.0))


cdef inline real reduced(real value, const double *attributes, intptr_t count) noexcept nogil:
    return value / <real>(<double>count if attributes[0] != 0 else 1.0)


cdef inline bint labels_ok(const int64_t *labels, intptr_t batch, intptr_t n) noexcept nogil:
    cdef intptr_t i
    cdef bint ok = True
    for i in range(batch):
        ok &= 0 <= labels[i] < n
    return ok


cdef api int sparse_categorical_cross_entropy_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *sample_loss = buffers[2]
    cdef real lower = <real>attributes[1], upper = below_one(attributes[1])
    cdef intptr_t i, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    for i in range(batch):
        sample_loss[i] = clip(y_pred[i * n + labels[i]], lower, upper)
    unary(primitives, FASTBP_LOG, sample_loss, sample_loss, batch)
    for i in range(batch):
        sample_loss[i] = -sample_loss[i]
    buffers[3][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int sparse_categorical_cross_entropy_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *dy_pred = buffers[2]
    cdef real lower = <real>attributes[1], upper = below_one(attributes[1])
    cdef real factor = share(-1, attributes, sizes[0])
    cdef intptr_t i, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    memset(dy_pred, 0, batch * n * sizeof(real))
    for i in range(batch):
        dy_pred[i * n + labels[i]] = factor / clip(y_pred[i * n + labels[i]], lower, upper)
    return FASTBP_OK


cdef api int sparse_softmax_cross_entropy_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *logits = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *p = buffers[2]
    cdef real *sample_loss = buffers[3]
    cdef real s[BLOCK]
    cdef real log_s[BLOCK]
    cdef intptr_t batch = sizes[0], n = sizes[1], i, start, rows, at, step = rows_per_block(batch, n)
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    start = 0
    while start < batch:
        rows = min(step, batch - start)
        at = start * n
        subtract_max(logits + at, p + at, rows, n)
        for i in range(rows):
            sample_loss[start + i] = p[at + i * n + labels[start + i]]
        unary(primitives, FASTBP_EXP, p + at, p + at, rows * n)
        sum_rows(primitives, p + at, s, rows, n)
        unary(primitives, FASTBP_LOG, s, log_s, rows)
        divide_rows(p + at, s, rows, n)
        for i in range(rows):
            sample_loss[start + i] = log_s[i] - sample_loss[start + i]
        start += step
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int sparse_softmax_cross_entropy_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *p = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *dlogits = buffers[2]
    cdef real factor = share(1, attributes, sizes[0])
    cdef real hit[BLOCK]
    cdef intptr_t i, start, rows, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    start = 0
    while start < batch:
        rows = min(BLOCK, batch - start)
        for i in range(rows):
            hit[i] = p[i * n + labels[i]] - ONE  # read before it may be overwritten
        for i in range(rows * n):
            dlogits[i] = p[i] * factor
        for i in range(rows):
            dlogits[i * n + labels[i]] = hit[i] * factor
        labels += rows
        p += rows * n
        dlogits += rows * n
        start += rows
    return FASTBP_OK


cdef api int sparse_softmax_cross_entropy_and_gradient(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *dlogits = buffers[4]
    cdef real factor = share(1, attributes, sizes[0])
    cdef real *operands[5]
    cdef int status
    operands[0] = buffers[0]
    operands[1] = buffers[1]
    if 2 <= sizes[1] <= 4 and primitives[FASTBP_CROSS_ENTROPY].loop is not NULL:
        if not labels_ok(labels, sizes[0], sizes[1]):
            return FASTBP_INDEX_ERROR
        operands[2] = buffers[2]
        operands[3] = dlogits
        operands[4] = &factor
        primitives[FASTBP_CROSS_ENTROPY].loop(
            <char **>operands, sizes, NULL, primitives[FASTBP_CROSS_ENTROPY].data
        )
        buffers[3][0] = reduced(total(primitives, buffers[2], sizes[0]), attributes, sizes[0])
        return FASTBP_OK
    operands[2] = dlogits  # the probabilities
    operands[3] = buffers[2]
    operands[4] = buffers[3]
    status = sparse_softmax_cross_entropy_forward(operands, sizes, attributes, primitives)
    if status != FASTBP_OK:
        return status
    operands[0] = dlogits
    return sparse_softmax_cross_entropy_backward(operands, sizes, attributes, primitives)


cdef inline intptr_t rival(const real *x, const real *t, intptr_t n) noexcept nogil:
    # the argmax of (1 - t) * x
    cdef intptr_t j, best = 0
    cdef real largest = (ONE - t[0]) * x[0], value
    for j in range(1, n):
        if largest != largest:
            break
        value = (ONE - t[j]) * x[j]
        if value > largest or value != value:
            best = j
            largest = value
    return best


cdef api int categorical_hinge_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef const real *sample_loss = buffers[2]
    cdef real *dy_pred = buffers[3]
    cdef real factor = share(1, attributes, sizes[0])
    cdef intptr_t i, j, hit, n = sizes[1]
    if n == 0:
        return FASTBP_OK
    for i in range(sizes[0]):
        hit = rival(y_pred, y_true, n)
        if sample_loss[i] > 0:
            for j in range(n):
                dy_pred[j] = -y_true[j] * factor
            dy_pred[hit] = (-y_true[hit] + (ONE - y_true[hit])) * factor
        else:
            memset(dy_pred, 0, n * sizeof(real))
        y_pred += n
        y_true += n
        dy_pred += n
    return FASTBP_OK


cdef api int multi_label_margin_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef real *elements = buffers[2]
    cdef real *sample_loss = buffers[3]
    cdef real half = <real>0.5, m
    cdef intptr_t i, j, k, batch = sizes[0], n = sizes[1]
    for i in range(batch):
        memset(elements, 0, n * sizeof(real))
        for j in range(n):
            if y_true[j] > half:
                for k in range(n):
                    if not y_true[k] > half:
                        m = ONE - (y_pred[j] - y_pred[k])
                        elements[k] += 0 if m <= 0 else m  # NaN stays
        sample_loss[i] = total(primitives, elements, n) / <real>max(n, 1)
        y_pred += n
        y_true += n
        elements += n
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int multi_label_margin_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef real *dy_pred = buffers[2]
    cdef real half = <real>0.5, factor
    cdef intptr_t i, j, k, batch = sizes[0], n = sizes[1]
    factor = <real>(1.0 / <double>(max(n, 1) * (batch if attributes[0] != 0 else 1)))
    for i in range(batch):
        memset(dy_pred, 0, n * sizeof(real))
        for j in range(n):
            if y_true[j] > half:
                for k in range(n):
                    if not y_true[k] > half and ONE - (y_pred[j] - y_pred[k]) > 0:
                        dy_pred[k] += ONE
                        dy_pred[j] -= ONE
        for j in range(n):
            dy_pred[j] *= factor
        y_pred += n
        y_true += n
        dy_pred += n
    return FASTBP_OK



cdef api int triplet_margin_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef real *elements = buffers[1]
    cdef real *length = buffers[2]
    cdef real *sample_loss = buffers[3]
    cdef real margin = <real>attributes[1], eps = <real>attributes[2], d, m
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], anchor
    for i in range(batch):
        length[i] = sample_loss[i] = 0
        if i % 3 == 0 or batch // 3 == i // 3:
            memset(elements, 0, n * sizeof(real))
        else:
            anchor = -(i % 3) * n
            for j in range(n):
                d = y_pred[anchor + j] - y_pred[j] + eps
                elements[j] = d * d
            length[i] = square_root(total(primitives, elements, n))
            if i % 3 == 2:
                m = length[i - 1] - length[i] + margin
                sample_loss[i - 2] = 0 if m <= 0 else m  # NaN stays
        y_pred += n
        elements += n
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, max(batch // 3, 1))
    return FASTBP_OK


cdef api int triplet_margin_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *length = buffers[1]
    cdef const real *sample_loss = buffers[2]
    cdef real *dy_pred = buffers[3]
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], threes = batch // 3
    cdef real eps = <real>attributes[2], factor = share(1, attributes, max(threes, 1)), near, far, u, v
    cdef bint active
    for i in range(0, 3 * threes, 3):
        near = length[i + 1]
        far = length[i + 2]
        active = sample_loss[i] > 0
        for j in range(n):
            u = (y_pred[j] - y_pred[n + j] + eps) / near if active and near > 0 else 0
            v = (y_pred[j] - y_pred[2 * n + j] + eps) / far if active and far > 0 else 0
            u = u * factor
            v = v * factor
            dy_pred[j] = u - v
            dy_pred[n + j] = -u
            dy_pred[2 * n + j] = v
        y_pred += 3 * n
        dy_pred += 3 * n
    memset(dy_pred, 0, (batch - 3 * threes) * n * sizeof(real))
    return FASTBP_OK


cdef inline intptr_t mine_triplets(
    const real *row, const int64_t *labels, real *hinges, real *weights, intptr_t a, intptr_t batch, real margin
) noexcept nogil:
    # one anchor: the hinge of each pair, the weights of pairs and negatives; returns how many pairs there are
    cdef intptr_t j, p, count = 0, far = -1, chosen
    cdef bint unclear = False, clear
    cdef real nearest, m
    for j in range(batch):
        weights[j] = 0
        hinges[j] = -INFINITY
        if labels[j] != labels[a]:
            hinges[j] = row[j]
            if not unclear and (far < 0 or row[j] > row[far] or row[j] != row[j]):
                far = j
                unclear = row[j] != row[j]
    # hinges holds the distances of the negatives, and weights the hinges of the pairs until all are known
    for p in range(batch if far >= 0 else 0):
        if p == a or labels[p] != labels[a]:
            continue
        count += 1
        nearest = fastbp_next_above(hinges, row[p], batch)
        clear = not unclear and nearest < INFINITY
        m = row[p] - (nearest if clear else row[far]) + margin
        weights[p] = 0 if m <= 0 else m  # NaN stays
        if m > 0:
            chosen = far
            if clear:
                chosen = 0
                while hinges[chosen] != nearest:
                    chosen += 1
            weights[chosen] -= 1
    for j in range(batch):
        hinges[j] = 0
        if labels[j] == labels[a]:
            hinges[j] = weights[j]
            weights[j] = ONE if weights[j] > 0 else 0
    return count


cdef api int triplet_semi_hard_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *pairwise = buffers[2]
    cdef real *elements = buffers[3]
    cdef real *pull = buffers[4]
    cdef real margin = <real>attributes[1], two = <real>2, q
    cdef bint squared = attributes[2] != 0
    cdef intptr_t i, j, at, batch = sizes[0], n = sizes[1], count = 0
    product(y_pred, y_pred, pairwise, batch, n, batch, n, 1, 1, n, primitives)
    for i in range(batch):
        elements[i] = pairwise[i * batch + i]
    for i in range(batch):
        at = i * batch
        for j in range(batch):
            q = elements[i] + elements[j] - two * pairwise[at + j]
            q = 0 if q <= 0 else q  # NaN stays
            pairwise[at + j] = q if squared else square_root(q)
    for i in range(batch):
        at = i * batch
        count += mine_triplets(pairwise + at, labels, elements + at, pull + at, i, batch, margin)
        for j in range(at, at + (0 if squared else batch)):
            pull[j] = pull[j] / pairwise[j] if pairwise[j] > 0 else 0
    for i in range(batch):
        for j in range(i + 1):
            q = pull[i * batch + j] + pull[j * batch + i]
            pull[i * batch + j] = q
            pull[j * batch + i] = q
    (<int64_t *>buffers[5])[0] = count
    buffers[6][0] = reduced(total(primitives, elements, batch * batch), attributes, max(count, 1))
    return FASTBP_OK


cdef api int triplet_semi_hard_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *y_pred = buffers[0]
    cdef real *pull = buffers[1]
    cdef real *dy_pred = buffers[3]
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], count = (<const int64_t *>buffers[2])[0]
    cdef real factor = share(2 if attributes[2] != 0 else 1, attributes, max(count, 1)), s
    product(pull, y_pred, dy_pred, batch, batch, n, batch, 1, n, 1, primitives)
    for i in range(batch):
        s = total(primitives, pull, batch)
        for j in range(n):
            dy_pred[j] = (s * y_pred[j] - dy_pred[j]) * factor
        y_pred += n
        dy_pred += n
        pull += batch
    return FASTBP_OK


cdef api int smooth_one_hot(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *smoothed = buffers[2]
    cdef intptr_t i, batch = sizes[0], n = sizes[1]
    cdef real off = <real>(attributes[0] * (1.0 / <double>n)), on = <real>(1.0 - attributes[0]) + off
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    for i in range(batch * n):
        smoothed[i] = off
    for i in range(batch):
        smoothed[i * n + labels[i]] = on
    return FASTBP_OK


cdef api int check_finite(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real loss = buffers[0][0]
    if loss - loss != 0:
        return FASTBP_NOT_FINITE
    return FASTBP_OK
