cimport cython

cdef int ENHANCE_YOUR_CALM
cdef Py_ssize_t MOST_FRAMES, FRAMES_A_SECOND, FRAMES_A_STEP, MOST_RESETS, RESETS_A_SECOND


@cython.final
cdef class Budget:
    cdef Py_ssize_t _frames, _resets

    cpdef spend_frame(self, Py_ssize_t steps)
    cpdef spend_reset(self)
    cpdef earn_reset(self)
    cpdef refill(self)
