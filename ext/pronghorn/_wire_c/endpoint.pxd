cimport cython


cdef class Endpoint:
    cpdef leave_outbox(self)
    cpdef on_tick(self, long now)
    cpdef crash(self, error)


@cython.locals(endpoint=Endpoint)
cpdef sweep(endpoints, long now)
