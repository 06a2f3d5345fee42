cimport cython

cdef Py_ssize_t MOST_FRAMES, FRAMES_A_SECOND, FRAMES_A_STEP, MOST_RESETS, RESETS_A_SECOND, MOST_STRIKES


@cython.final
cdef class Budget:
    cdef Py_ssize_t _frames, _resets, _strikes

    cpdef spend_frame(self, Py_ssize_t steps)
    cpdef spend_reset(self)
    cpdef earn_reset(self)
    cpdef bint is_spent(self)
    cpdef bint refill(self)
