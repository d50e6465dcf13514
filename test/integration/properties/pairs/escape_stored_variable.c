// The address of a new variable in a live object dangles when the livepatch is unloaded.
// expect: changed f
// expect: data node
// expect: note escaping-address f
#include "kernel.h"
struct node { struct node *next, **back; };
#ifdef PATCHED
static struct node node;
#endif
long f(struct node *head)
{
	long n = get();
#ifdef PATCHED
	if (head->next)
		head->next->back = &node.next;
	node.next = head->next;
	node.back = &head->next;
	head->next = &node;
#endif
	return n;
}
